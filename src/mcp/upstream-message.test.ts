import { describe, expect, it } from "vitest";
import { encodeHeaderValue } from "./header-value.ts";
import { paramHeaders } from "./param-headers.ts";
import { readUpstreamMessage } from "./upstream-message.ts";

const read = (text: string) => readUpstreamMessage(Buffer.from(text));

describe("readUpstreamMessage", () => {
  it("reads a result with its places", () => {
    const text = '{"result": {"content":[]}, "id" : 17,"jsonrpc":"2.0"}';
    const message = read(text);
    expect(message).toMatchObject({ kind: "answer", id: 17, errorCode: null });
    if (message?.kind !== "answer") throw new Error("no answer");
    expect(text.slice(message.idSpan?.start, message.idSpan?.end)).toBe("17");
    expect([...(message.result?.members.keys() ?? [])]).toEqual(["content"]);
  });

  it.each([
    ['{"jsonrpc":"2.0","id":"a","error":{"code":-32602,"message":"x"}}', { id: "a", errorCode: -32602, result: null }],
    ['{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"x"}}', { id: null, errorCode: -32000 }],
    ['{"jsonrpc":"2.0","error":{"code":-32000,"message":"x"}}', { id: null, idSpan: null, errorCode: -32000 }],
    ['{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t"}}', { progressToken: "t" }],
    ['{"jsonrpc":"2.0","method":"notifications/message"}', { kind: "notification", progressToken: null }],
    ['{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage"}', { kind: "request", id: 1 }],
    ['{"jsonrpc":"2.0","id":"a","method":"ping"}', { kind: "request", id: "a", method: "ping" }],
    ['{"jsonrpc":"2.0","id":null,"method":"ping"}', { kind: "other" }],
    ['{"jsonrpc":"2.0","id":1.5,"method":"ping"}', { kind: "other" }],
    ['{"jsonrpc":"2.0","id":1,"method":"a b"}', { kind: "other" }],
    ['{"jsonrpc":"2.0","id":1,"method":"notifications/message"}', { kind: "other" }],
    ['{"jsonrpc":"2.0","method":"tools/call"}', { kind: "other" }],
  ])("%s", (text, expected) => expect(read(text)).toMatchObject(expected));

  it.each([
    ["B02: two ids", '{"jsonrpc":"2.0","id":1,"id":2,"result":{}}'],
    ["B03: a member in another case", '{"jsonrpc":"2.0","id":1,"Id":2,"result":{}}'],
    ["B40: both a request and an answer", '{"jsonrpc":"2.0","id":1,"result":{},"method":"tools/call"}'],
    ["B40: both a result and an error", '{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}'],
    ["neither", '{"jsonrpc":"2.0","id":1}'],
    ["a result without an id", '{"jsonrpc":"2.0","result":{}}'],
    ["a result for null", '{"jsonrpc":"2.0","id":null,"result":{}}'],
    ["a result that is no object", '{"jsonrpc":"2.0","id":1,"result":[]}'],
    ["a fraction for an id", '{"jsonrpc":"2.0","id":1.5,"result":{}}'],
    ["an object for an id", '{"jsonrpc":"2.0","id":{},"error":{"code":1,"message":""}}'],
    ["an error without a code", '{"jsonrpc":"2.0","id":1,"error":{"message":""}}'],
    ["an error that is text", '{"jsonrpc":"2.0","id":1,"error":"x"}'],
    ["another version", '{"jsonrpc":"1.0","id":1,"result":{}}'],
    ["B01: a batch", '[{"jsonrpc":"2.0","id":1,"result":{}}]'],
    ["an endless id", `{"jsonrpc":"2.0","id":"${"a".repeat(3000)}","result":{}}`],
    ["B08: a byte-order mark", '\ufeff{"jsonrpc":"2.0","id":1,"result":{}}'],
    ["nothing", ""],
  ])("%s is no message", (_, text) => expect(read(text)).toBeNull());

  it("what deeper objects hold is not judged", () => {
    expect(read('{"jsonrpc":"2.0","id":1,"result":{"a":{"x":1,"X":2,"x":3}}}')).toMatchObject({ id: 1 });
  });
});

it.each([
  ["echo", "echo"],
  ["a b", "a b"],
  ["", "=?base64??="],
  [" a", "=?base64?IGE=?="],
  ["délicieux", "=?base64?ZMOpbGljaWV1eA==?="],
  ["a\r\nb", "=?base64?YQ0KYg==?="],
  ["=?base64?YQ==?=", "=?base64?PT9iYXNlNjQ/WVE9PT89?="],
])("B21: %j in a header is %s", (value, expected) => expect(encodeHeaderValue(value)).toBe(expected));

describe("paramHeaders", () => {
  const schema = {
    type: "object",
    properties: {
      tenant: { type: "string", "x-mcp-header": "Tenant" },
      deep: { type: "object", properties: { size: { type: "integer", "x-mcp-header": "Size" } } },
      list: { type: "array", items: { type: "string", "x-mcp-header": "Never" } },
      evil: { type: "string", "x-mcp-header": "Authorization\r\nX:" },
      flag: { type: "boolean", "x-mcp-header": "Flag" },
    },
  };
  it.each([
    [{ tenant: "acme" }, { "mcp-param-tenant": "acme" }],
    [
      { tenant: "é", flag: false },
      { "mcp-param-tenant": "=?base64?w6k=?=", "mcp-param-flag": "false" },
    ],
    [{ deep: { size: 3 } }, { "mcp-param-size": "3" }],
    [{ deep: { size: 1.5 }, tenant: null, list: ["a"], other: 1 }, {}],
    [{ evil: "x" }, {}],
    [{}, {}],
  ])("B49: %j gives %j", (args, expected) => {
    const absent = { "mcp-param-tenant": null, "mcp-param-size": null, "mcp-param-flag": null };
    expect(paramHeaders(schema, args)).toEqual({ ...absent, ...expected });
  });
  it("has none without a schema", () => {
    expect(paramHeaders(undefined, { a: "b" })).toEqual({});
    expect(paramHeaders(schema, JSON.parse('{"__proto__":{"tenant":"x"}}') as never)).toEqual(paramHeaders(schema, {}));
  });
});
