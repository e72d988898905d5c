import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { headersOf } from "../../test/fakes/authz.ts";
import { DIALECTS } from "../../test/fakes/json-dialects.ts";
import { readOperation } from "./read-operation.ts";

type Pairs = readonly (readonly [string, string])[];

function read(body: string | Buffer, headers: Pairs = []) {
  return readOperation(Buffer.from(body), headersOf(headers));
}

/** "ok method name", or "reason code id". */
function verdict(body: string | Buffer, headers: Pairs = []): string {
  const result = read(body, headers);
  if (result.ok)
    return ["ok", result.operation.method, result.operation.name].filter((part) => part !== null).join(" ");
  return [result.fault.reason, result.fault.rpcCode, JSON.stringify(result.rpc.id)]
    .filter((part) => part !== undefined)
    .join(" ");
}

const PARAMS = "params_invalid 1";
const MALFORMED = "body_malformed -32600 1";
const readUri = (uri: string) => JSON.stringify({ jsonrpc: "2.0", id: 1, method: "resources/read", params: { uri } });
const call = (params: string) => `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${params}}`;

describe("messages", () => {
  it.each<[string, string, string]>([
    ["a call", call('{"name":"read","arguments":{"a":1}}'), "ok tools/call read"],
    ["without arguments", call('{"name":"read"}'), "ok tools/call read"],
    [
      "B06 escaped",
      '{"jsonrpc":"2.0","id":1,"method":"tools\\u002fcall","params":{"name":"r\\u0065ad"}}',
      "ok tools/call read",
    ],
    ["a prompt", '{"jsonrpc":"2.0","id":"a","method":"prompts/get","params":{"name":"p"}}', "ok prompts/get p"],
    [
      "a resource",
      '{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///a,b"}}',
      "ok resources/read file:///a,b",
    ],
    ...["docs://v1.2/a..b/...", "docs://a/.hidden", "docs://x/a,b?c=1.", "urn:isbn:1", "docs://a/é"].map(
      (uri): [string, string, string] => [`B47 ${uri}`, readUri(uri), `ok resources/read ${uri}`],
    ),
    ["a list", '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"x"}}', "ok tools/list"],
    [
      "initialize",
      '{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{}}}',
      "ok initialize",
    ],
    ["a notification", '{"jsonrpc":"2.0","method":"notifications/initialized"}', "ok notifications/initialized"],
    ["B19 shadows", call('{"name":"read","arguments":{"name":"drop"},"_meta":{"name":"drop"}}'), "ok tools/call read"],
    [
      "the largest integers",
      call('{"name":"read","arguments":{"a":[9007199254740991,-9007199254740991,1e20]}}'),
      "ok tools/call read",
    ],
    ["B17 case is kept", call('{"name":"Read"}'), "ok tools/call Read"],
  ])("%s", (_, body, expected) => expect(verdict(body)).toBe(expected));

  it.each<[string, string, string]>([
    [
      "B06 an escaped name",
      '{"jsonrpc":"2.0","id":1,"\\u006dethod":"tools/call","params":{"name":"read"}}',
      "body_malformed null",
    ],
    ["B01 batch", `[${call('{"name":"x"}')}]`, "body_batch null"],
    ["B01 empty batch", "[]", "body_batch null"],
    ["B01 batch behind space", " \n[1]", "body_batch null"],
    ["B01 nested batch", "[[]]", "body_batch null"],
    ["B02 method twice", '{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}', "body_malformed null"],
    ["B02 name twice", call('{"name":"ok","name":"rm"}'), "body_malformed null"],
    ["B02 id twice", '{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', "body_malformed null"],
    ["B02 deep in arguments", call('{"name":"ok","arguments":{"a":{"b":1,"b":2}}}'), "body_malformed null"],
    ["B03 Name alone", call('{"Name":"rm"}'), "body_malformed -32600 1"],
    ["B03 METHOD alone", '{"jsonrpc":"2.0","id":1,"METHOD":"tools/call"}', "body_malformed -32600 1"],
    [
      "B03 Params beside params",
      '{"jsonrpc":"2.0","id":1,"method":"ping","params":{},"Params":{}}',
      "body_malformed null",
    ],
    ["B03 Params alone", '{"jsonrpc":"2.0","id":1,"method":"ping","Params":{}}', "body_malformed -32600 1"],
    ["B03 ARGUMENTS", call('{"name":"a","ARGUMENTS":{}}'), "body_malformed -32600 1"],
    ["B03 Uri", '{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"Uri":"a"}}', "body_malformed -32600 1"],
    ["B04 long s", '{"jsonrpc":"2.0","id":1,"method":"ping","param\u017f":{}}', "body_malformed -32600 1"],
    ["B04 Kelvin", call('{"name":"a","\u212aey":1,"key":2}'), "body_malformed null"],
    ["B05 NUL", '{"jsonrpc":"2.0","id":1,"method":"ping","method\\u0000":"tools/call"}', "body_malformed null"],
    ["B09 two documents", `${call('{"name":"a"}')}{}`, "body_malformed null"],
    ["B09 a comment", `/*x*/${call('{"name":"a"}')}`, "body_malformed null"],
    ["not an object", '"x"', "body_malformed -32600 null"],
    ["null", "null", "body_malformed -32600 null"],
    ["no jsonrpc", '{"id":1,"method":"ping"}', "body_malformed -32600 1"],
    ["jsonrpc 1.0", '{"jsonrpc":"1.0","id":1,"method":"ping"}', "body_malformed -32600 1"],
    ["jsonrpc as a number", '{"jsonrpc":2.0,"id":1,"method":"ping"}', "body_malformed -32600 1"],
    ["unknown member", '{"jsonrpc":"2.0","id":1,"method":"ping","extra":1}', "body_malformed -32600 1"],
    ["B12 id null", '{"jsonrpc":"2.0","id":null,"method":"ping"}', "body_malformed -32600 null"],
    ["B12 id float", '{"jsonrpc":"2.0","id":1.5,"method":"ping"}', "body_malformed -32600 null"],
    ["B12 id beyond 2^53", '{"jsonrpc":"2.0","id":12345678901234567890,"method":"ping"}', "body_malformed null"],
    [
      "P7 an integer that we would round",
      call('{"name":"a","arguments":{"account":9007199254740993}}'),
      "body_malformed 1",
    ],
    [
      "P7 a negative one, deep inside",
      call('{"name":"a","arguments":{"a":[{"b":-9007199254740993}]}}'),
      "body_malformed 1",
    ],
    ["B12 id -0", '{"jsonrpc":"2.0","id":-0,"method":"ping"}', "body_malformed -32600 null"],
    ["B12 id true", '{"jsonrpc":"2.0","id":true,"method":"ping"}', "body_malformed -32600 null"],
    ["B12 id object", '{"jsonrpc":"2.0","id":{},"method":"ping"}', "body_malformed -32600 null"],
    ["B12 id too long", `{"jsonrpc":"2.0","id":"${"a".repeat(257)}","method":"ping"}`, "body_malformed -32600 null"],
    ["B13 method list", '{"jsonrpc":"2.0","id":1,"method":["tools/call"]}', "body_malformed -32600 1"],
    ["B13 method empty", '{"jsonrpc":"2.0","id":1,"method":""}', "body_malformed -32600 1"],
    ["B13 method missing", '{"jsonrpc":"2.0","id":1}', "body_malformed -32600 1"],
    ["B13 upper case", '{"jsonrpc":"2.0","id":1,"method":"TOOLS/CALL"}', "method_unknown 1"],
    ["B13 trailing space", '{"jsonrpc":"2.0","id":1,"method":"tools/call "}', "method_unknown 1"],
    ["B13 double slash", '{"jsonrpc":"2.0","id":1,"method":"tools//call"}', "method_unknown 1"],
    ["B46 tasks", '{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{}}', "method_unknown 1"],
    [
      "B46 a subscription to no URI",
      '{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"a"}}',
      PARAMS,
    ],
    ["a prototype's name", '{"jsonrpc":"2.0","id":1,"method":"constructor"}', "method_unknown 1"],
    ["B14 no params", '{"jsonrpc":"2.0","id":1,"method":"tools/call"}', "params_invalid 1"],
    ["B14 params null, without a name", call("null"), "params_invalid 1"],
    ["a name of null", call('{"name":null}'), "params_invalid 1"],
    ["B14 params list", call('["x"]'), "params_invalid 1"],
    ["B14 no name", call("{}"), "params_invalid 1"],
    ["B14 name object", call('{"name":{"toString":"x"}}'), "params_invalid 1"],
    ["B14 name empty", call('{"name":""}'), "params_invalid 1"],
    ["B14 name too long", call(`{"name":"${"a".repeat(129)}"}`), "params_invalid 1"],
    ["control character in a name", call('{"name":"a\\u0007"}'), "params_invalid 1"],
    ["arguments list", call('{"name":"a","arguments":[]}'), "params_invalid 1"],
    ["_meta text", call('{"name":"a","_meta":"x"}'), "params_invalid 1"],
    [
      "B03 the revision in another case",
      call('{"name":"a","_meta":{"IO.modelcontextprotocol/protocolVersion":"2026-07-28"}}'),
      "body_malformed -32600 1",
    ],
    [
      "B03 a progress token in another case",
      call('{"name":"a","_meta":{"progresstoken":1}}'),
      "body_malformed -32600 1",
    ],
    ...[
      "docs://team/public/../private/x",
      "file:///srv/public/%2e%2E/x",
      "docs://team/.%2e/x",
      "file:///srv/public\\..\\x",
      "docs://team/public/%2e%2e%2fprivate",
      "docs://team/./x",
      "docs://team/..",
      "docs://team/..?x",
      "docs://team/..#x",
      "../x",
    ].map((uri): [string, string, string] => [`B47 ${uri}`, readUri(uri), "params_invalid 1"]),
    ["uri in place of name", call('{"uri":"a"}'), "params_invalid 1"],
    [
      "uri too long",
      `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"${"a".repeat(2049)}"}}`,
      "params_invalid 1",
    ],
    [
      "B39 a call without an id",
      '{"jsonrpc":"2.0","method":"tools/call","params":{"name":"a"}}',
      "body_malformed -32600 null",
    ],
    ["a list without an id", '{"jsonrpc":"2.0","method":"tools/list"}', "body_malformed -32600 null"],
    [
      "a notification with an id",
      '{"jsonrpc":"2.0","id":1,"method":"notifications/initialized"}',
      "body_malformed -32600 1",
    ],
    ["B40 request and answer", '{"jsonrpc":"2.0","id":1,"result":{},"method":"tools/call"}', "body_malformed -32600 1"],
    ["B40 a response without an id", '{"jsonrpc":"2.0","result":{}}', "body_malformed -32600 null"],
    ["B40 a response of null", '{"jsonrpc":"2.0","id":null,"result":{}}', "body_malformed -32600 null"],
    ["B40 result and error", '{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":"x"}}', MALFORMED],
    ["B40 a result of text", '{"jsonrpc":"2.0","id":1,"result":"x"}', MALFORMED],
    ["B40 a result of null", '{"jsonrpc":"2.0","id":1,"result":null}', MALFORMED],
    ["B40 an error without a message", '{"jsonrpc":"2.0","id":1,"error":{"code":1}}', MALFORMED],
    ["B40 a code of text", '{"jsonrpc":"2.0","id":1,"error":{"code":"1","message":"x"}}', MALFORMED],
    ["B40 params beside a result", '{"jsonrpc":"2.0","id":1,"result":{},"params":{}}', MALFORMED],
  ])("%s", (_, body, expected) => expect(verdict(body)).toBe(expected));
});

it("F1: arguments are those of a tool or prompt, and of nothing else", () => {
  const withArguments = (method: string, params: object) =>
    JSON.stringify({ jsonrpc: "2.0", id: 1, method, params: { ...params, arguments: { a: 1 } } });
  const argumentsOf = (body: string) => {
    const result = read(body);
    return result.ok ? JSON.stringify(result.operation.arguments) : result.fault.detail;
  };
  expect(argumentsOf(withArguments("tools/call", { name: "a" }))).toBe('{"a":1}');
  expect(argumentsOf(withArguments("prompts/get", { name: "a" }))).toBe('{"a":1}');
  for (const method of ["tools/list", "initialize", "ping", "logging/setLevel", "resources/templates/list"])
    expect(argumentsOf(withArguments(method, {}))).toBe("{}");
  expect(argumentsOf(withArguments("resources/read", { uri: "docs://a" }))).toBe("{}");
});

describe("headers that mirror the body (N-01, B20–B22)", () => {
  const meta = (version: string) =>
    `"_meta":{"io.modelcontextprotocol/protocolVersion":"${version}","io.modelcontextprotocol/clientCapabilities":{}}`;
  const modern = (name = "read") => call(`{"name":${JSON.stringify(name)},${meta("2026-07-28")}}`);
  const good: Pairs = [
    ["mcp-protocol-version", "2026-07-28"],
    ["mcp-method", "tools/call"],
    ["mcp-name", "read"],
  ];
  const without = (name: string) => good.filter(([key]) => key !== name);
  const changed = (name: string, value: string): Pairs => [...without(name), [name, value]];
  const sentinel = (text: string | Buffer) => `=?base64?${Buffer.from(text).toString("base64")}?=`;

  it("agree", () => expect(verdict(modern(), good)).toBe("ok tools/call read"));
  it("P14: 60 KB of spaces in one cost no time", () => {
    const from = performance.now();
    for (const name of ["mcp-name", "mcp-protocol-version", "mcp-method"])
      expect(verdict(modern(), changed(name, `a${" ".repeat(60_000)}b`))).not.toMatch(/^ok/);
    expect(performance.now() - from).toBeLessThan(1000);
  });
  it.each<[string, string, Pairs, string]>([
    ["method differs", modern(), changed("mcp-method", "tools/list"), "header_mismatch 1"],
    ["name differs", modern(), changed("mcp-name", "drop"), "header_mismatch 1"],
    ["name differs in case", modern(), changed("mcp-name", "Read"), "header_mismatch 1"],
    ["method missing", modern(), without("mcp-method"), "header_mismatch 1"],
    ["name missing", modern(), without("mcp-name"), "header_mismatch 1"],
    ["version missing", modern(), without("mcp-protocol-version"), "header_mismatch 1"],
    ["version differs", modern(), changed("mcp-protocol-version", "2025-11-25"), "header_mismatch 1"],
    ["_meta missing", call('{"name":"read"}'), good, "params_invalid 1"],
    [
      "capabilities missing",
      call('{"name":"read","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}'),
      good,
      "params_invalid 1",
    ],
    [
      "version as a number",
      call('{"name":"read","_meta":{"io.modelcontextprotocol/protocolVersion":1}}'),
      good,
      "params_invalid 1",
    ],
    ["name twice", modern(), [...good, ["mcp-name", "drop"]], "header_malformed 1"],
    ["method twice", modern(), [...good, ["mcp-method", "tools/call"]], "header_malformed 1"],
    ["method joined", modern(), changed("mcp-method", "tools/call,tools/list"), "header_malformed 1"],
    ["version joined", modern(), changed("mcp-protocol-version", "2026-07-28,2025-11-25"), "header_malformed 1"],
    ["bytes in a name", modern(), changed("mcp-name", "r\u00e9ad"), "header_malformed 1"],
    ["N-01 another one, future", modern(), changed("mcp-protocol-version", "2099-01-01"), "header_mismatch 1"],
    ["N-01 another one, unknown in _meta", call(`{"name":"read",${meta("1999-01-01")}}`), good, "header_mismatch 1"],
    [
      "B22 future",
      call(`{"name":"read",${meta("2099-01-01")}}`),
      changed("mcp-protocol-version", "2099-01-01"),
      "version_unsupported 1",
    ],
    ["CF-34 long ago", call('{"name":"read"}'), [["mcp-protocol-version", "1900-01-01"]], "version_unsupported 1"],
    ["B22 a draft", call('{"name":"read"}'), [["mcp-protocol-version", "2024-10-07"]], "version_unsupported 1"],
    [
      "version in another case",
      call('{"name":"read"}'),
      [["mcp-protocol-version", "2025-11-25X"]],
      "version_unsupported 1",
    ],
    ["a future in _meta alone", call(`{"name":"read",${meta("2099-01-01")}}`), [], "header_mismatch 1"],
    [
      "B22 a lie under an old version",
      call('{"name":"read"}'),
      [
        ["mcp-protocol-version", "2025-11-25"],
        ["mcp-name", "drop"],
      ],
      "header_mismatch 1",
    ],
    ["B22 a lie without a version", call('{"name":"read"}'), [["mcp-method", "tools/list"]], "header_mismatch 1"],
    ["B21 not canonical", modern(), changed("mcp-name", "=?base64?cmVhZB?="), "header_mismatch 1"],
    [
      "B21 upper-case marker",
      modern(),
      changed("mcp-name", `=?BASE64?${Buffer.from("read").toString("base64")}?=`),
      "header_mismatch 1",
    ],
    ["B21 not UTF-8", modern(), changed("mcp-name", sentinel(Buffer.from([0xff]))), "header_mismatch 1"],
    ["B21 another name inside", modern(), changed("mcp-name", sentinel("drop")), "header_mismatch 1"],
    [
      "B21 a sentinel within a sentinel",
      modern(),
      changed("mcp-name", sentinel(sentinel("read"))),
      "header_mismatch 1",
    ],
    [
      "a name that looks like a sentinel, plain",
      modern(sentinel("read")),
      changed("mcp-name", sentinel("read")),
      "header_mismatch 1",
    ],
    [
      "mcp-name for a list",
      `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{${meta("2026-07-28")}}}`,
      changed("mcp-method", "tools/list"),
      "header_mismatch 1",
    ],
  ])("%s", (_, body, headers, expected) => expect(verdict(body, headers)).toBe(expected));

  it.each<[string, string, Pairs]>([
    ["N-01 the sentinel form", modern(), changed("mcp-name", sentinel("read"))],
    ["space around", modern(), changed("mcp-name", " read\t")],
    ["a sentinel that names a sentinel", modern(sentinel("read")), changed("mcp-name", sentinel(sentinel("read")))],
    ["N-02 an old version, judged on the body", call('{"name":"read"}'), [["mcp-protocol-version", "2025-06-18"]]],
    [
      "an old version whose headers agree",
      call('{"name":"read"}'),
      [
        ["mcp-protocol-version", "2025-11-25"],
        ["mcp-method", "tools/call"],
        ["mcp-name", "read"],
      ],
    ],
  ])("%s is fine", (_, body, headers) => expect(verdict(body, headers)).toMatch(/^ok/));
});

describe("P7, B07: one reading", () => {
  const names = [
    "method",
    "Method",
    "params",
    "Params",
    "param\u017f",
    "name",
    "Name",
    "id",
    "jsonrpc",
    "x",
    "method\\u0000",
    "n\\u0061me",
  ];
  const piece = fc.oneof(
    fc.constantFrom(...names).map((name) => `"${name}":`),
    fc.constantFrom(
      '"tools/call"',
      '"tools/list"',
      '"read"',
      '"drop"',
      "1",
      "null",
      "{",
      "}",
      "[",
      "]",
      ",",
      '{"name":"drop"}',
      "//x\n",
      "/**/",
      " ",
      "\ufeff",
      '"2.0"',
    ),
  );
  const base = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","arguments":{}}}';
  /** A call with a piece put in, or taken out, at some places. */
  const mutated = fc
    .array(fc.tuple(fc.nat(base.length), piece, fc.nat(6)), { minLength: 1, maxLength: 3 })
    .map((edits) => {
      let text = base;
      for (const [at, insert, cut] of edits) text = text.slice(0, at) + insert + text.slice(at + cut);
      return Buffer.from(text);
    });
  const member = fc.tuple(
    fc.constantFrom(...names),
    fc.constantFrom(
      '"2.0"',
      '"tools/call"',
      '"tools/list"',
      "1",
      '{"name":"read"}',
      '{"name":"drop","Name":"read"}',
      '{"name":"a","name":"b"}',
    ),
  );
  const assembled = fc
    .array(member, { minLength: 3, maxLength: 7 })
    .map((members) => Buffer.from(`{${members.map(([name, value]) => `"${name}":${value}`).join(",")}}`));
  const bodies = fc.oneof(mutated, assembled);

  const oneReading = (reader: (bytes: Buffer) => { method: string; name: string | null } | null) =>
    fc.property(bodies, (bytes) => {
      const ours = reader(bytes);
      if (ours === null) return;
      for (const [dialect, model] of Object.entries(DIALECTS)) {
        const theirs = model(bytes);
        if (theirs === null) continue;
        if (theirs.method !== ours.method) throw new Error(`${dialect} reads another method in ${bytes.toString()}`);
        if (ours.name !== null && theirs.name !== ours.name)
          throw new Error(`${dialect} reads another name in ${bytes.toString()}`);
      }
    });

  it("whatever we accept, every parser that accepts it reads the same", () => {
    const reader = (bytes: Buffer) => {
      const result = read(bytes);
      return result.ok ? result.operation : null;
    };
    fc.assert(oneReading(reader), { numRuns: 20_000 });
  });

  it("and the property catches a reader that takes the last of two names (mutant)", () => {
    const lastWins = (bytes: Buffer) => {
      try {
        const { method, params } = JSON.parse(bytes.toString()) as { method?: unknown; params?: { name?: unknown } };
        return typeof method === "string" && typeof params?.name === "string" ? { method, name: params.name } : null;
      } catch {
        return null;
      }
    };
    expect(() => fc.assert(oneReading(lastWins), { numRuns: 20_000 })).toThrow(/Property failed/);
  });
});
