// The strict reader: what it accepts is JSON, written again it is the same value, and the broker's reader finds the same.
import { readObjectSpan } from "../../../src/json/spans.ts";
import type { JsonValue } from "../../../src/json/types.ts";
import { readOperation } from "../../../src/mcp/read-operation.ts";
import { readJson } from "../../../src/json/strict-reader.ts";
import { canonical, relayed } from "../policy-view.ts";
import { must, type Target } from "./target.ts";

const NO_HEADERS = { get: () => undefined, repeated: () => false };
const VERBATIM = { maxDepth: 64, maxMembers: 10_000, verbatim: true };

export const json: Target = {
  seeds: [
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":[1,2.5e3,true,null]}}}',
    '{"jsonrpc":"2.0","id":"a","method":"resources/read","params":{"uri":"file:///a/b"}}',
    '{"jsonrpc":"2.0","method":"notifications/initialized"}',
    '[{"é":"\\ud83d\\ude00"},"\\u00e9\\n"]',
  ],
  tokens: [
    ...[
      "{",
      "}",
      "[",
      "]",
      ",",
      ":",
      '"',
      "\\",
      "\\u0041",
      "\\ud83d\\ude00",
      "\\ud800",
      "null",
      "true",
      "false",
      "1e400",
    ],
    ...[
      '"params"',
      '"_meta":{}',
      '"io.modelcontextprotocol/protocolVersion"',
      '"progressToken"',
      "tools/list",
      "\ufeff",
    ],
    ...[
      "\u0000",
      "\u0301",
      "ſ",
      "\u212a",
      "-0",
      "0.1",
      "1E-7",
      '"id":',
      '"uri"',
      '"__proto__"',
      "file://",
      "/../",
      "%2e",
    ],
  ],
  run(bytes) {
    readOperation(bytes, NO_HEADERS);
    const read = readJson(bytes);
    const verbatim = readJson(bytes, VERBATIM);
    if (!read.ok) return;
    must(verbatim.ok, "verbatim refuses what is accepted otherwise");
    const again = readJson(Buffer.from(JSON.stringify(read.value)));
    must(again.ok && canonical(again.value) === canonical(read.value), "written and read again it is another value");
    // V8 itself takes escaped names for others that it remembers: the differential run looks at those.
    if (!bytes.includes(0x5c)) sameAsV8(bytes, read.value);
    sameSpans(bytes, read.value);
    sameRelayed(bytes);
  },
};

function sameAsV8(bytes: Buffer, value: JsonValue): void {
  const parsed = JSON.parse(bytes.toString("utf8")) as JsonValue;
  must(canonical(parsed) === canonical(value), "JSON.parse reads another value");
}

function sameSpans(bytes: Buffer, value: JsonValue): void {
  const root = readObjectSpan(bytes);
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  must((root !== null) === isObject, "the spans' reader does not agree on what an object is");
  if (root === null) return;
  const entries = Object.entries(value as Readonly<Record<string, JsonValue>>);
  must(entries.length === root.members.size, "another number of members");
  for (const [name, member] of entries) {
    const span = root.members.get(name);
    must(span !== undefined, "a member has no place");
    const inner = readJson(bytes.subarray(span.start, span.end));
    must(inner.ok && canonical(inner.value) === canonical(member), "another value stands at a member's place");
  }
}

function sameRelayed(bytes: Buffer): void {
  for (const era of ["modern", "legacy"] as const) {
    const found = relayed(bytes, era);
    if (found === null) continue;
    const sent = readJson(found.bytes);
    must(sent.ok && canonical(sent.value) === found.forms["value"], "the broker sends another message");
  }
}
