// The plugin's own cases of results (opa-envoy-plugin, envoyauth/response_test.go, internal/internal_test.go) in our words, and
// what we refuse where it lets pass.
import { describe, expect, it } from "vitest";
import { readAnswer } from "./answer.ts";

const REVISION = "r1";
const read = (result: unknown) => readAnswer(result, REVISION);
const refused = (result: unknown) => {
  const answer = read(result);
  return answer.ok ? "an answer" : `${answer.reason}: ${answer.detail ?? ""}`;
};
/** What is allowed, without what is empty. */
const allowed = (result: object) => {
  const answer = read({ allowed: true, ...result });
  if (!answer.ok || !answer.value.allow) return answer;
  const { headers, responseHeaders, remove, query, metadata } = answer.value;
  return { headers: [...headers], response: [...responseHeaders], remove, query, metadata };
};
const denied = (result: object) => {
  const answer = read({ allowed: false, ...result });
  if (!answer.ok || answer.value.allow) return answer;
  const { answer: said, metadata } = answer.value;
  return { said: said === null ? null : { ...said, headers: [...said.headers] }, metadata };
};

const NOTHING = { headers: [], response: [], remove: [], query: { set: [], remove: [] }, metadata: {} };

describe("what decides", () => {
  it.each([
    [true, true],
    [false, false],
    [{ allowed: true }, true],
    [{ allowed: false }, false],
    [{ allowed: true, reason: "the author's own member" }, true],
  ])("%j", (result, expected) => {
    const answer = read(result);
    expect(answer.ok && [answer.value.allow, answer.value.revision]).toEqual([expected, REVISION]);
  });

  it.each([
    [undefined, "undefined"],
    [null, "neither"],
    ["true", "neither"],
    [1, "neither"],
    [[true], "neither"],
    [[], "neither"],
    [{}, "allowed"],
    [{ allowed: 1 }, "allowed"],
    [{ allowed: "true" }, "allowed"],
    [{ allowed: null }, "allowed"],
    [{ allowed: [] }, "allowed"],
    [{ result: true }, "allowed"],
    [{ allow: true }, "a member that is none"],
    [{ Allowed: true, allowed: true }, "a member that is none"],
  ])("%j is no decision: refused, never a gRPC error that failure_mode_allow could turn round", (result, why) => {
    expect(refused(result)).toMatch(/^policy_unavailable: /);
    expect(refused(result)).toContain(why);
  });

  it.each(["headers_to_remove", "request_header_to_remove", "response_headers", "queryParametersToSet", "allow"])(
    "a member %s that would say nothing to the plugin is refused",
    (name) => expect(refused({ allowed: true, [name]: ["x"] })).toContain(name),
  );
});

describe("headers", () => {
  it.each([
    [{}, []],
    [{ headers: {} }, []],
    [{ headers: { foo: "bar" } }, [["foo", ["bar"]]]],
    [{ headers: { "X-Foo": "bar" } }, [["x-foo", ["bar"]]]],
    [{ headers: [{ foo: "bar" }, { foo: "baz" }] }, [["foo", ["bar", "baz"]]]],
    [{ headers: { foo: ["bar", "baz"] } }, [["foo", ["bar", "baz"]]]],
  ])("%j", (result, lines) => {
    expect(allowed(result)).toEqual({ ...NOTHING, headers: lines });
    const [key, value] = Object.entries(result)[0] ?? ["headers", {}];
    expect(allowed({ response_headers_to_add: value })).toEqual({ ...NOTHING, response: lines });
    const answer = { status: 403, headers: lines, body: "" };
    expect(denied(result)).toEqual({ said: key in result ? answer : null, metadata: {} });
  });

  it.each([
    ["test"],
    [["test"]],
    [{ foo: 1 }],
    [{ foo: "bar", baz: 1 }],
    [{ foo: [1] }],
    [{ foo: [] }],
    [{ foo: { bar: "baz" } }],
    [[{ foo: "bar" }, { foo: null }]],
    [{ "foo bar": "baz" }],
    [{ "": "baz" }],
    [{ foo: "a\r\nx: y" }],
    [{ foo: "\u0000" }],
    [{ foo: "\u00e4" }],
    [{ foo: "" }],
    [Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`x-${i}`, "1"]))],
  ])("%j is refused", (headers) => {
    for (const member of ["headers", "response_headers_to_add"])
      expect(refused({ allowed: true, [member]: headers })).toContain(member);
    expect(refused({ allowed: false, headers })).toContain("headers");
  });

  it.each([
    [
      ["foo", "bar"],
      ["foo", "bar"],
    ],
    [["Foo"], ["foo"]],
    [[], []],
  ])("request_headers_to_remove %j", (value, remove) =>
    expect(allowed({ request_headers_to_remove: value })).toEqual({ ...NOTHING, remove }),
  );

  it.each(["test", [1], [["foo"]], { foo: true }, ["a b"], [""], null])(
    "request_headers_to_remove %j is refused",
    (value) =>
      expect(refused({ allowed: true, request_headers_to_remove: value })).toContain("request_headers_to_remove"),
  );
});

describe("the query", () => {
  it.each([
    [
      { param1: "value1", param2: "value2" },
      [
        ["param1", "value1"],
        ["param2", "value2"],
      ],
    ],
    [
      { param1: ["value1", "value2"], param2: ["value3"] },
      [
        ["param1", "value1"],
        ["param1", "value2"],
        ["param2", "value3"],
      ],
    ],
    [
      { param1: "single", param2: ["multi1", "multi2"] },
      [
        ["param1", "single"],
        ["param2", "multi1"],
        ["param2", "multi2"],
      ],
    ],
    [{}, []],
  ])("query_parameters_to_set %j", (value, set) =>
    expect(allowed({ query_parameters_to_set: value })).toEqual({ ...NOTHING, query: { set, remove: [] } }),
  );

  it.each([" ", "&", "=", "#", "+", "%", "%26", ";", "/", "\r\n", "\0", "\u007f", "\u00e9", "[]"])(
    "query_parameters_to_set with %j in a name or a value is refused: it would be written as it is",
    (text) => {
      for (const set of [{ a: `b${text}c` }, { [`a${text}`]: "b" }, { a: ["b", text] }, [{ a: "b" }, { c: text }]])
        expect(refused({ allowed: true, query_parameters_to_set: set })).toMatch(
          /^policy_unavailable: .*query_parameters_to_set/,
        );
    },
  );

  it.each(["", "A.z_0-9~"])("query_parameters_to_set with the value %j", (value) =>
    expect(allowed({ query_parameters_to_set: { a: value } })).toMatchObject({ query: { set: [["a", value]] } }),
  );

  it.each(["invalid", { test: 123 }, { test: [123] }, { "": "x" }, { test: null }])(
    "query_parameters_to_set %j is refused",
    (value) => expect(refused({ allowed: true, query_parameters_to_set: value })).toContain("query_parameters_to_set"),
  );

  it("query_parameters_to_remove", () => {
    expect(allowed({ query_parameters_to_remove: ["foo", "bar"] })).toEqual({
      ...NOTHING,
      query: { set: [], remove: ["foo", "bar"] },
    });
    for (const value of ["test", [1], { foo: 1 }, [""], null])
      expect(refused({ allowed: true, query_parameters_to_remove: value })).toContain("query_parameters_to_remove");
  });
});

describe("a denial", () => {
  it("without form is ours", () => {
    expect(read(false)).toEqual({ ok: true, value: { allow: false, revision: REVISION, metadata: {}, answer: null } });
    expect(denied({})).toEqual({ said: null, metadata: {} });
  });

  it.each([
    [{ body: "hello" }, { status: 403, headers: [], body: "hello" }],
    [{ http_status: 400 }, { status: 400, headers: [], body: "" }],
    [
      { http_status: 401, body: "no" },
      { status: 401, headers: [], body: "no" },
    ],
    [
      { http_status: 302, headers: { location: "/login" } },
      { status: 302, headers: [["location", ["/login"]]], body: "" },
    ],
    [
      { http_status: 200, body: "" },
      { status: 200, headers: [], body: "" },
    ],
  ])("%j", (result, said) => expect(denied(result)).toEqual({ said, metadata: {} }));

  it.each([
    { body: 123 },
    { body: null },
    { body: "x".repeat(64 * 1024 + 1) },
    { http_status: true },
    { http_status: "400" },
    { http_status: 1 },
    { http_status: 100 },
    { http_status: 9999 },
    { http_status: 400.5 },
    { http_status: 600 },
    { http_status: 204 },
    { http_status: 304 },
    { headers: { "content-length": "0" } },
    { headers: { connection: "close" } },
    { headers: { "set-cookie": ["a=1", "b=2"] } },
  ])("%j is refused", (result) => expect(refused({ allowed: false, ...result })).toMatch(/^policy_unavailable: /));

  it("what belongs to an allow alone is not read", () =>
    expect(denied({ request_headers_to_remove: 1, query_parameters_to_set: 2 })).toEqual({ said: null, metadata: {} }));
});

describe("dynamic metadata", () => {
  it.each([{ foo: "bar" }, { test: "foo", bar: { n: 1.5, list: [true, null, "x"] } }, {}])("%j", (metadata) => {
    expect(allowed({ dynamic_metadata: metadata })).toEqual({ ...NOTHING, metadata });
    expect(denied({ dynamic_metadata: metadata })).toEqual({ said: null, metadata });
  });

  it("decision_id is ours: the audit line's", () =>
    expect(allowed({ dynamic_metadata: { decision_id: "x", a: "b" } })).toEqual({ ...NOTHING, metadata: { a: "b" } }));

  it.each([123, "x", ["x"], null, { mcp: { route: "broker" } }, { a: "x".repeat(16 * 1024) }])(
    "%j is refused",
    (value) => {
      expect(refused({ allowed: true, dynamic_metadata: value })).toContain("dynamic_metadata");
      expect(refused({ allowed: false, dynamic_metadata: value })).toContain("dynamic_metadata");
    },
  );

  it("nested too deeply is refused", () => {
    let nested: object = { a: 1 };
    for (let i = 0; i < 20; i += 1) nested = { nested };
    expect(refused({ allowed: true, dynamic_metadata: nested })).toContain("dynamic_metadata");
  });
});
