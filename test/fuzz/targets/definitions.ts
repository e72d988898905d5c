// The definition cleaner: what it shows is clean, within its limits, and cleaned again it is the same.
import { createResolver } from "../../../src/mcp/resolver.ts";
import { cleanText } from "../../../src/broker/catalog/sanitize-text.ts";
import { createEntryReader, type ListEntry } from "../../../src/broker/catalog/definitions.ts";
import { LISTS, type ListKind } from "../../../src/mcp/lists.ts";
import { emptyStats } from "../../../src/broker/catalog/remarks.ts";
import type { JsonValue } from "../../../src/json/types.ts";
import { readJson } from "../../../src/json/strict-reader.ts";
import { must, type Target } from "./target.ts";

const LIMITS = { maxDepth: 64, maxMembers: 10_000, verbatim: true };
const HIDDEN = ["\u001b", "\u009b", "\u200b", "\u202e", "\u2066", "\u{e0041}", "\ufe0f"];
const KINDS = Object.keys(LISTS) as ListKind[];

export const definitions: Target = {
  seeds: [
    '0[{"name":"a","title":"t\\u001b[31m","description":"d\\u200b","inputSchema":{"type":"object","properties":{"x":{"type":"string","x-mcp-header":"H"}}}}]',
    '1[{"name":"p","arguments":[{"name":"x","description":"\\u202e"}]}]',
    '2[{"uri":"a://b","name":"n","mimeType":"text/plain","annotations":{"title":"x"},"icons":[{}],"_meta":{}}]',
    '3[{"uriTemplate":"a://{b}","name":"n"}]',
  ],
  tokens: [
    ...[
      "{",
      "}",
      "[",
      "]",
      '"',
      ",",
      ":",
      "\\u001b[",
      "\\u001b]",
      "\\u009b",
      "\\u200b",
      "\\udb40\\udc41",
      "\\u0007",
      "\\u009c",
      "\\ufe0f",
    ],
    ...[
      '"properties":{}',
      '"enum":["\\u200b"]',
      '"$defs":{}',
      '"outputSchema":{}',
      '"x-mcp-header":"A"',
      '"name":"b"',
      '"Name"',
      "1.0",
      "1e99",
    ],
    ...['"default":{"description":"\\u200b"}', '"description":"', '"title":"', "\\ud83d\\ude00", "a".repeat(600)],
  ],
  run(bytes) {
    const text = bytes.toString("utf8", 1);
    checkText(text);
    const kind = KINDS[(bytes[0] ?? 0) % KINDS.length] ?? "tools";
    const read = readJson(bytes.subarray(1), LIMITS);
    if (read.ok && Array.isArray(read.value)) checkList(kind, read.value as readonly JsonValue[]);
  },
};

function checkText(text: string): void {
  for (const max of [7, 512]) {
    const clean = cleanText(text, max);
    must(clean.length <= max && !HIDDEN.some((letter) => clean.includes(letter)), "a text that is not clean");
    must(cleanText(clean, max) === clean, "a text that can be cleaned twice");
    must(clean.isWellFormed() || !text.isWellFormed(), "a character cut in two");
  }
}

function entriesOf(kind: ListKind, list: readonly JsonValue[]): { entries: ListEntry[]; changed: readonly string[] } {
  const stats = emptyStats();
  const budget = { names: 64 * 1024, definitions: 2 * 1024 * 1024 };
  const options = { names: createResolver({ s: "s-" }).namesOf("s"), isOffered: () => true };
  const reader = createEntryReader(kind, { room: 100, ...options, stats, budget });
  for (const item of list) reader.take(Buffer.from(JSON.stringify(item)));
  return { entries: reader.entries(), changed: Object.keys(stats.changed) };
}

function checkList(kind: ListKind, list: readonly JsonValue[]): void {
  const first = entriesOf(kind, list).entries;
  const again = first.map(({ json }) => {
    const read = readJson(Buffer.from(json), LIMITS);
    must(read.ok, "an entry that is shown is no JSON");
    return read.value;
  });
  const second = entriesOf(kind, again);
  must(second.changed.length === 0, "an entry that can be cleaned twice");
  must(
    second.entries.map(({ json }) => json).join() === first.map(({ json }) => json).join(),
    "other entries the second time",
  );
  for (const { json, merged } of first)
    must((merged ?? "{}").startsWith("{") && json.startsWith("{"), "an entry that is no object");
}
