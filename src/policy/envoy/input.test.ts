// The plugin's own cases of requests (opa-envoy-plugin, envoyauth/request_test.go and internal/internal_test.go) in our words, and
// what we refuse where it reads on.
import { describe, expect, it } from "vitest";
import { headersOf } from "../../../test/fakes/authz.ts";
import type { AuthzRequest, PolicyRequest } from "../../authz/types.ts";
import { hostInput } from "./input.ts";

interface Parts {
  readonly path?: string;
  readonly query?: string;
  readonly type?: string;
  readonly body?: string | Buffer;
  readonly partial?: boolean;
  readonly principal?: string;
  readonly headers?: readonly (readonly [string, string])[];
}

const DESCRIBED: PolicyRequest = { host: "gw", path: "/", sourceIp: "192.0.2.7", time: 1_790_000_000, headers: {} };

/** A text is a body that came as text, bytes are one that came as bytes. */
function bodyOf({ body, partial = false }: Parts): AuthzRequest["body"] {
  if (partial) return { kind: "partial" };
  if (body === undefined || body.length === 0) return { kind: "none" };
  return typeof body === "string" ? { kind: "text", bytes: Buffer.from(body) } : { kind: "bytes", bytes: body };
}

function requestOf(parts: Parts): AuthzRequest {
  const type = parts.type === undefined ? [] : [["content-type", parts.type] as const];
  return {
    ...{ method: "POST", path: parts.path ?? "/a", query: parts.query ?? null, host: "gw.example.com" },
    ...{ headers: headersOf([...type, ...(parts.headers ?? [])]), body: bodyOf(parts), peer: "192.0.2.7" },
    ...(parts.principal !== undefined && { principal: parts.principal }),
    attributes: () => ({ source: { service: "web" }, request: { time: { seconds: 7 }, http: { id: "42" } } }),
  };
}

const NONE = new Set<string>();
const inputOf = (parts: Parts, takesCut = true) =>
  hostInput({ request: requestOf(parts), caller: null, described: DESCRIBED, hidden: NONE }, takesCut);
const membersOf = (parts: Parts, ...names: readonly string[]) => {
  const input = inputOf(parts);
  const members = input.ok ? (input.value as unknown as Record<string, unknown>) : {};
  return input.ok ? names.map((name) => members[name]) : input.reason;
};
const parsed = (parts: Parts) => membersOf(parts, "parsed_body", "truncated_body");

const JSON_TYPE = "application/json";
const FORM = "application/x-www-form-urlencoded";
const PARTS = "multipart/form-data; boundary=foo";
const part = (name: string, value: string, type = "text/plain") =>
  `--foo\r\nContent-Disposition: form-data; name="${name}"\r\nContent-Type: ${type}\r\n\r\n${value}\r\n`;

describe("parsed_body and truncated_body", () => {
  it.each<[string, Parts, unknown]>([
    ["no content type", {}, null],
    ["no content type, a body", { body: "foo" }, null],
    ["text/html", { type: "text/html", body: "<p>" }, null],
    ["a JSON text", { type: JSON_TYPE, body: '"foo"' }, "foo"],
    ["a JSON boolean", { type: JSON_TYPE, body: "true" }, true],
    ["a JSON number", { type: JSON_TYPE, body: "42" }, 42],
    ["JSON null", { type: JSON_TYPE, body: "null" }, null],
    ["a JSON object", { type: JSON_TYPE, body: '{"firstname": "foo"}' }, { firstname: "foo" }],
    ["a JSON list", { type: JSON_TYPE, body: '["hello", "opa"]' }, ["hello", "opa"]],
    [
      "JSON escapes",
      { type: JSON_TYPE, body: String.raw`["\"", "\\", "\/", "/", "\b", "\f", "\n", "\r", "\t"]` },
      ['"', "\\", "/", "/", "\b", "\f", "\n", "\r", "\t"],
    ],
    ["JSON that came as bytes", { type: JSON_TYPE, body: Buffer.from('{"a": 1}') }, { a: 1 }],
    ["JSON with a charset", { type: "application/json; charset=utf-8", body: "1" }, 1],
    ["JSON whose type is in capitals", { type: "Application/JSON", body: "1" }, 1],
    ["no JSON", { type: JSON_TYPE, body: "" }, null],
    ["a form", { type: FORM, body: "firstname=foo&lastname=bar" }, { firstname: ["foo"], lastname: ["bar"] }],
    ["a form that came as bytes", { type: FORM, body: Buffer.from("a=b") }, { a: ["b"] }],
    ["a form with a name that comes twice", { type: FORM, body: "a=1&b=2&b=3" }, { a: ["1"], b: ["2", "3"] }],
    ["a form with escapes", { type: FORM, body: "a+b=%26%3D+" }, { "a b": ["&= "] }],
    ["no form", { type: FORM, body: "" }, null],
    ["parts", { type: PARTS, body: `${part("foo", "bar")}--foo--` }, { foo: ["bar"] }],
    ["parts and an end of line", { type: PARTS, body: `${part("foo", "bar")}--foo--\r\n` }, { foo: ["bar"] }],
    [
      "parts, one of JSON",
      { type: PARTS, body: `${part("foo", "bar")}${part("bar", '{"name": "bar"}', "application/json;")}--foo--` },
      { foo: ["bar"], bar: [{ name: "bar" }] },
    ],
    ["parts of one name", { type: PARTS, body: `${part("a", "1")}${part("a", "2")}--foo--` }, { a: ["1", "2"] }],
    ["gRPC: no descriptors here", { type: "application/grpc", body: Buffer.from([0, 0, 0, 0, 0]) }, null],
  ])("%s", (_, parts, body) => expect(parsed(parts)).toEqual([body, false]));

  it.each([
    [JSON_TYPE, "true"],
    [JSON_TYPE, '{"a": 1}'],
    [FORM, "a=b"],
    [PARTS, `${part("foo", "bar")}--foo--`],
    ["text/plain", "x"],
  ])("a body of %s that is cut off is null and told, where policy asks for it", (type, body) => {
    expect(parsed({ type, body, partial: true })).toEqual([null, true]);
    const refused = inputOf({ type, body, partial: true }, false);
    expect(refused.ok || refused.reason).toBe("body_too_large");
  });

  it.each<[string, Parts]>([
    ["JSON that is none", { type: JSON_TYPE, body: '["foo" : 42}' }],
    ["a JSON name that comes twice", { type: JSON_TYPE, body: '{"role": "user", "role": "admin"}' }],
    ["JSON names that differ in case", { type: JSON_TYPE, body: '{"role": "user", "Role": "admin"}' }],
    ["a JSON number that a double changes", { type: JSON_TYPE, body: "9007199254740993" }],
    ["text behind JSON", { type: JSON_TYPE, body: "{} {}" }],
    ["JSON that is not UTF-8", { type: JSON_TYPE, body: Buffer.from([0x22, 0xff, 0x22]) }],
    ["JSON that came as text, with bytes replaced", { type: JSON_TYPE, body: '"\ufffd"' }],
    ["JSON that is nested too deeply", { type: JSON_TYPE, body: "[".repeat(65) + "]".repeat(65) }],
    ["a form with a semicolon", { type: FORM, body: "a=1;b=2" }],
    ["a form with half an escape", { type: FORM, body: "a=%f" }],
    ["a form that is not UTF-8", { type: FORM, body: "a=%ff" }],
    ["parts without a boundary", { type: "multipart/form-data", body: part("a", "b") }],
    ["parts with two boundaries", { type: "multipart/form-data; boundary=foo; boundary=bar", body: "--foo--" }],
    ["parts without an end", { type: PARTS, body: part("a", "b") }],
    ["parts and something behind them", { type: PARTS, body: `${part("a", "b")}--foo--\r\nmore` }],
    ["parts and something before them", { type: PARTS, body: `x\r\n${part("a", "b")}--foo--` }],
    ["parts with bare line feeds", { type: PARTS, body: `${part("a", "b")}--foo--`.replaceAll("\r", "") }],
    ["a part without a name", { type: PARTS, body: `${part("", "b")}--foo--` }],
    ["a part with two names", { type: PARTS, body: `${part('a"; name="b', "c")}--foo--` }],
    ["a part with an escape in its name", { type: PARTS, body: `${part('a\\"b', "c")}--foo--` }],
    [
      "a part with an encoding",
      { type: PARTS, body: `${part("a", "Yg==", "text/plain\r\nContent-Transfer-Encoding: base64")}--foo--` },
    ],
    [
      "a part with two dispositions",
      { type: PARTS, body: `${part("a", "b", 'x\r\nContent-Disposition: form-data; name="c"')}--foo--` },
    ],
    ["a form whose type names JSON", { type: `${FORM}; x=application/json`, body: '{"a":"&role=admin&"}' }],
    ["a form of another encoding", { type: `${FORM}; charset=utf-16le`, body: "a=b" }],
    ["a form behind a byte order mark", { type: FORM, body: "\ufeffrole=admin&role=user" }],
    ["a form that names its encoding", { type: FORM, body: "a=b&_charset_=utf-7" }],
    ["JSON whose type names a form", { type: `application/json; x=${FORM}`, body: "1" }],
    ["JSON in UTF-7", { type: "application/json; charset=utf-7", body: '{"a":"+ACI-"}' }],
    ["JSON behind a byte order mark", { type: JSON_TYPE, body: "\ufeff{}" }],
    ["JSON with two encodings", { type: "application/json; charset=utf-8; charset=utf-7", body: "1" }],
    ["two types in one", { type: `application/json, ${FORM}`, body: "1" }],
    ["two lines of types", { type: "text/plain", body: "1", headers: [["content-type", JSON_TYPE]] }],
    ["a text whose type names JSON", { type: "text/plain; x=Application/JSON", body: "1" }],
    ["a type that begins as JSON", { type: "application/jsonx", body: "1" }],
    ["a boundary that names JSON", { type: 'multipart/form-data; boundary="application/json"', body: "--" }],
    ["parts with a charset", { type: `${PARTS}; charset=utf-16le`, body: `${part("a", "b")}--foo--` }],
    ["a part in UTF-16", { type: PARTS, body: `${part("a", "b", "text/plain; charset=utf-16le")}--foo--` }],
    ["a part of JSON in UTF-7", { type: PARTS, body: `${part("a", "1", "application/json; charset=utf-7")}--foo--` }],
    [
      "a part of bytes without a file name",
      { type: PARTS, body: `${part("a", "b", "application/octet-stream")}--foo--` },
    ],
    ["a part that is not UTF-8", { type: PARTS, body: Buffer.from(`${part("a", "\xe9")}--foo--`, "latin1") }],
    ["a name that is not UTF-8", { type: PARTS, body: Buffer.from(`${part("\xe9", "a")}--foo--`, "latin1") }],
    ["a part behind a byte order mark", { type: PARTS, body: `${part("a", "\ufeffb")}--foo--` }],
    ["a part in another", { type: PARTS, body: `${part("a", `x\n${part("b", "c").trimEnd()}`)}--foo--` }],
    ["parts that name their encoding", { type: PARTS, body: `${part("_charset_", "utf-16")}--foo--` }],
    ["a text with an empty file name", { type: PARTS, body: `${part('a"; filename="', "b")}--foo--` }],
    ["a part of JSON that is none", { type: PARTS, body: `${part("a", "{", JSON_TYPE)}--foo--` }],
  ])("%s is refused", (_, parts) => expect(parsed(parts)).toBe("body_malformed"));

  it.each([
    [JSON_TYPE, '{"a":1}'],
    [FORM, "a=b"],
    [PARTS, `${part("foo", "bar")}--foo--`],
  ])("%s in a content-encoding is refused", (type, body) => {
    const encoded = (encoding: string) => parsed({ type, body, headers: [["content-encoding", encoding]] });
    for (const encoding of ["gzip", "deflate", "identity, br", "", "utf-8"])
      expect(encoded(encoding)).toBe("body_malformed");
    expect(encoded("Identity")).not.toBe("body_malformed");
    const other = { type: "text/plain", body, headers: [["content-encoding", "gzip"] as const] };
    expect(parsed(other)).toEqual([null, false]);
  });

  it.each([
    ["application/json;charset=UTF-8", "1", 1],
    ['application/json; charset="utf-8"', "1", 1],
    ["application/json-patch+json", "[]", []],
    [`${FORM}; charset=UTF-8`, "a=b&_charset_=UTF-8", { a: ["b"], _charset_: ["UTF-8"] }],
    [PARTS, `${part("a", "b", "text/plain; charset=utf-8")}--foo--`, { a: ["b"] }],
  ])("%s is read", (type, body, value) => expect(parsed({ type, body })).toEqual([value, false]));

  it("a file is no text: its name, type and size are told", () => {
    const file = (filename: string, value: string) => part(`role"; filename="${filename}`, value, "application/json");
    expect(parsed({ type: PARTS, body: `${file("a.json", '"admin"')}${part("role", "user")}--foo--` })).toEqual([
      { role: [{ filename: "a.json", contentType: "application/json", size: 7 }, "user"] },
      false,
    ]);
    const none = { filename: "", contentType: "application/json", size: 0 };
    expect(parsed({ type: PARTS, body: `${file("", "")}--foo--` })).toEqual([{ role: [none] }, false]);
  });

  it("more pairs than a form of people has are refused", () => {
    const many = Array.from({ length: 1001 }, (_, i) => `n${i}=1`).join("&");
    expect(parsed({ type: FORM, body: many })).toBe("body_malformed");
  });
});

describe("the body as it came", () => {
  const httpOf = (parts: Parts) => {
    const input = inputOf(parts);
    return input.ok ? (input.value.attributes["request"] as Record<string, object>)["http"] : input;
  };
  it("a text is http.body; bytes are http.rawBody in Base64, and http.body where they are UTF-8", () => {
    expect(httpOf({ body: "foo" })).toMatchObject({ id: "42", body: "foo" });
    expect(httpOf({ body: "foo" })).not.toHaveProperty("rawBody");
    expect(httpOf({ body: Buffer.from("foo") })).toMatchObject({ body: "foo", rawBody: "Zm9v" });
    expect(httpOf({ body: Buffer.from([0xff]) })).toMatchObject({ rawBody: "/w==" });
    expect(httpOf({ body: Buffer.from([0xff]) })).not.toHaveProperty("body");
  });
  it("of a body that is cut off there is nothing", () =>
    expect(Object.keys(httpOf({ body: "foo", partial: true }) ?? {})).toEqual([
      "id",
      "method",
      "path",
      "host",
      "headers",
    ]));
});

describe("parsed_path and parsed_query", () => {
  it.each<[string, string | undefined, string[], object]>([
    ["/my/test/path", undefined, ["my", "test", "path"], {}],
    ["/my/test/path", "a=1", ["my", "test", "path"], { a: ["1"] }],
    ["/my/test/path", "a=1&a=2", ["my", "test", "path"], { a: ["1", "2"] }],
    ["/my/test/path", "a=1&b=2", ["my", "test", "path"], { a: ["1"], b: ["2"] }],
    ["/my/test/path", "a=1&a=new%0aline", ["my", "test", "path"], { a: ["1", "new\nline"] }],
    ["/", undefined, [""], {}],
    ["/a/", "", ["a", ""], {}],
    ["/%C3%A9", "x", ["\u00e9"], { x: [""] }],
    ["/a", "=1&&b", ["a"], { "": ["1"], b: [""] }],
  ])("%s?%s", (path, query, parts, values) =>
    expect(membersOf({ path, ...(query !== undefined && { query }) }, "parsed_path", "parsed_query")).toEqual([
      parts,
      values,
    ]),
  );

  it("http.path has the query, as in the plugin", () => {
    const input = inputOf({ path: "/a", query: "b=c" });
    expect(input.ok && input.value.attributes).toMatchObject({ request: { http: { path: "/a?b=c", method: "POST" } } });
  });

  it.each([
    ["/%ff", undefined],
    ["/a", "b=%zz"],
    ["/a", "b=1;c=2"],
    ["/a", "b=%ff"],
  ])("%s?%s is refused", (path, query) =>
    expect(membersOf({ path, ...(query !== undefined && { query }) })).toBe("header_malformed"),
  );
});

describe("who, and which API", () => {
  it("source_principal is that of the certificate; version says what the plugin says", () => {
    expect(membersOf({}, "source_principal", "version")).toEqual([
      undefined,
      { ext_authz: "v3", encoding: "protojson" },
    ]);
    expect(membersOf({ principal: "spiffe://test-domain/path" }, "source_principal")).toEqual([
      "spiffe://test-domain/path",
    ]);
  });

  it("the rest of the attributes stays, and the caller and the time stand beside it", () => {
    const input = inputOf({});
    expect(input.ok && input.value).toMatchObject({
      attributes: {
        source: { service: "web" },
        request: { time: { seconds: 7 }, http: { id: "42", host: "gw.example.com" } },
      },
      request: DESCRIBED,
    });
    expect(input.ok && "identity" in input.value).toBe(false);
  });

  it.each(["GW.Example.com", "gw.example.com.", "gw.example.com:443", "GW.EXAMPLE.COM.:8443"])(
    "the host is told in one form: %s",
    (host) => {
      const headers = headersOf([
        [":authority", host],
        ["host", host],
      ]);
      const request = { ...requestOf({}), host, headers };
      const input = hostInput({ request, caller: null, described: DESCRIBED, hidden: NONE }, false);
      const name = "gw.example.com";
      const http = { host: name, headers: { ":authority": name, host: name } };
      expect(input.ok && input.value.attributes).toMatchObject({ request: { http } });
    },
  );

  it("a credential for the gateway is not shown", () => {
    const request = requestOf({
      headers: [
        ["authorization", "Bearer secret"],
        ["x-key", "secret"],
        ["x-other", "shown"],
      ],
    });
    const hidden = new Set(["authorization", "x-key"]);
    const input = hostInput({ request, caller: null, described: DESCRIBED, hidden }, false);
    expect(JSON.stringify(input)).not.toContain("secret");
    expect(input.ok && input.value.attributes).toMatchObject({
      request: { http: { headers: { authorization: "Bearer (verified)", "x-key": "(verified)", "x-other": "shown" } } },
    });
  });

  it("a description that is malformed is refused", () => {
    const request = { ...requestOf({}), attributes: () => null };
    const input = hostInput({ request, caller: null, described: DESCRIBED, hidden: NONE }, false);
    expect(input.ok || input.reason).toBe("header_malformed");
  });
});
