// Both protobuf codecs, against the reference library with Envoy's own .proto files and against bytes made by hand.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkMessage, codecs, FULL_PROTO, OWN_PROTO } from "../../test/fakes/check-request.ts";
import { CHECK_CODEC } from "./check-codec.ts";
import { REFERENCE_CODEC } from "./grpc-js/check-codec.ts";
import type { CheckResponse } from "./encode-check-response.ts";
import { decodeCheckRequest } from "./decode-check-request.ts";
import { fromCheckRequest } from "./from-check-request.ts";

const full = codecs(FULL_PROTO);
const own = codecs(OWN_PROTO);
const text = fc.string({ unit: "grapheme", maxLength: 30 });
const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/);

describe("CheckRequest, against the reference library with Envoy's own .proto", () => {
  it("reads every field that we use, from both forms of headers", () => {
    const arbitrary = fc.record({
      path: text,
      host: text,
      headers: fc.dictionary(name, text, { maxKeys: 8 }),
      body: fc.uint8Array({ maxLength: 300 }),
      size: fc.integer({ min: -1, max: 2 ** 40 }),
      form: fc.constantFrom("map" as const, "list" as const),
    });
    fc.assert(
      fc.property(arbitrary, (parts) => {
        const bytes = full.request.encode(checkMessage({ ...parts, body: Buffer.from(parts.body) }));
        const fields = decodeCheckRequest(bytes);
        expect([fields.path, fields.host, fields.method, fields.size, fields.peer]).toEqual([
          parts.path,
          parts.host,
          "POST",
          parts.size,
          "192.0.2.7",
        ]);
        expect(fields.rawBody ?? Buffer.alloc(0)).toEqual(Buffer.from(parts.body));
        for (const [key, value] of Object.entries(parts.headers)) {
          const expected = parts.form === "map" ? value : Buffer.from(value).toString("latin1");
          expect(fields.headers?.get(key)).toBe(expected);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("our .proto has the same field numbers: bytes of one are bytes of the other", () => {
    const message = checkMessage({ body: "{}", headers: { a: "b" }, form: "map" });
    const slim = own.request.decode(full.request.encode(message));
    const http = (message as { attributes: { request: { http: Record<string, unknown> } } }).attributes.request.http;
    for (const key of ["method", "path", "host", "size", "headers"]) {
      const expected = key === "headers" ? expect.objectContaining({ a: "b" }) : http[key];
      expect(slim).toHaveProperty(["attributes", "request", "http", key], expected);
    }
    expect(JSON.stringify(slim)).toContain("192.0.2.7");
  });

  it("D10, D11, D03: what is no CheckRequest is a refusal, never a throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        const step = fromCheckRequest(Buffer.from(bytes), decodeCheckRequest);
        expect(step.ok).toBe(false);
      }),
      { numRuns: 2000 },
    );
  });

  it("mutated Checks refuse or stay Checks, and never throw", () => {
    const bytes = full.request.encode(checkMessage({ body: '{"jsonrpc":"2.0"}' }));
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 0, max: 255 }), fc.boolean(), (at, byte, cut) => {
        const mutant = Buffer.from(cut ? bytes.subarray(0, at) : bytes);
        if (!cut) mutant[at] = byte;
        expect(() => fromCheckRequest(mutant, decodeCheckRequest)).not.toThrow();
      }),
      { numRuns: 2000 },
    );
  });
});

/** One length-delimited field. */
function field(number: number, content: Buffer | string): Buffer {
  const bytes = Buffer.from(content);
  const length = bytes.length < 128 ? [bytes.length] : [(bytes.length & 0x7f) | 0x80, bytes.length >> 7];
  return Buffer.concat([Buffer.from([number * 8 + 2, ...length]), bytes]);
}
const http = (...fields: Buffer[]) => field(1, field(4, field(2, Buffer.concat(fields))));
const entry = (key: string, value: string) => field(3, Buffer.concat([field(1, key), field(2, value)]));
const basics = [field(2, "POST"), field(4, "/mcp"), field(5, "gw")];

const CODECS = [
  ["our codec", CHECK_CODEC],
  ["the reference codec", REFERENCE_CODEC],
] as const;

describe.each(CODECS)("hand-made bytes, read by %s", (_codec, { decode }) => {
  it("the helper makes a good one", () =>
    expect(fromCheckRequest(http(...basics, entry("a", "b")), decode).ok).toBe(true));
  it.each<[string, Buffer]>([
    ["D02 empty", Buffer.alloc(0)],
    ["D02 no http (a network filter's Check)", field(1, field(4, Buffer.alloc(0)))],
    ["D02 no method", http(field(4, "/mcp"), field(5, "gw"), entry("a", "b"))],
    ["D02 no path", http(field(2, "POST"), field(5, "gw"), entry("a", "b"))],
    ["D02 no host", http(field(2, "POST"), field(4, "/mcp"), entry("a", "b"))],
    ["D02 no headers", http(...basics)],
    ["D11 a header twice in the map", http(...basics, entry("authorization", "a"), entry("authorization", "b"))],
    ["D11 the same in another case", http(...basics, entry("authorization", "a"), entry("Authorization", "b"))],
    ["C06 both forms", http(...basics, entry("a", "b"), field(13, Buffer.from([0x6a, 0x00])))],
    ["two paths", http(...basics, field(4, "/other"), entry("a", "b"))],
    [
      "two http",
      field(1, field(4, Buffer.concat([field(2, Buffer.concat([...basics, entry("a", "b")])), field(2, "")]))),
    ],
    ["two attributes", Buffer.concat([http(...basics, entry("a", "b")), field(1, "")])],
    [
      "D10 a path that is not UTF-8",
      http(field(2, "POST"), field(4, Buffer.from([0xff, 0xfe])), field(5, "gw"), entry("a", "b")),
    ],
    [
      "D10 overlong UTF-8",
      http(field(2, "POST"), field(4, Buffer.from([0xc0, 0xaf])), field(5, "gw"), entry("a", "b")),
    ],
    ["wrong wire type", http(Buffer.from([2 * 8, 1]), field(4, "/mcp"), field(5, "gw"), entry("a", "b"))],
    ["a group", Buffer.from([0x0b, 0x0c])],
    ["a length beyond the end", Buffer.from([0x0a, 0x7f, 0x00])],
    ["an endless varint", Buffer.alloc(20, 0xff)],
    ["B26 body and raw_body", http(...basics, entry("a", "b"), field(11, "x"), field(12, "y"))],
  ])("%s refuses", (_, bytes) => expect(fromCheckRequest(bytes, decode).ok).toBe(false));
});

describe.each(CODECS)("headers, read by %s", (_codec, { decode }) => {
  const line = (key: string, value: string, raw?: string) =>
    field(
      1,
      Buffer.concat([field(1, key), field(2, value), ...(raw === undefined ? [] : [field(3, Buffer.from(raw))])]),
    );
  const list = (...lines: Buffer[]) => field(13, Buffer.concat(lines));
  const headersOf = (...fields: Buffer[]) => decode(http(...basics, ...fields)).headers;

  it("several lines of one name are joined, whatever the case of the name, and count as repeated", () => {
    const headers = headersOf(list(line("Accept", "a"), line("x", "1"), line("accept", "b"), line("ACCEPT", "c")));
    expect([headers?.get("accept"), headers?.repeated("accept")]).toEqual(["a,b,c", true]);
    expect([headers?.get("x"), headers?.repeated("x"), headers?.get("y")]).toEqual(["1", false, undefined]);
    expect([...(headers?.names() ?? [])]).toEqual(["accept", "x"]);
  });

  it("value or raw_value, and an empty line is an empty text", () => {
    const headers = headersOf(
      list(line("a", "text", ""), line("b", "text"), line("c", "", "r\u00fc"), line("d", ""), line("e", "", "")),
    );
    expect(["a", "b", "c", "d", "e"].map((name) => headers?.get(name))).toEqual([
      ...["text", "text", "r\u00c3\u00bc", "", ""],
    ]);
  });

  const one = (...fields: Buffer[]) => list(field(1, Buffer.concat(fields)));
  const [key, value, raw] = [field(1, "a"), field(2, "x"), field(3, Buffer.from("y"))];
  const peer = (...addresses: Buffer[]) =>
    field(
      1,
      Buffer.concat([
        field(1, Buffer.concat(addresses)),
        field(4, field(2, Buffer.concat([...basics, field(3, Buffer.concat([key, value]))]))),
      ]),
    );
  const socket = (...texts: string[]) => field(1, Buffer.concat(texts.map((text) => field(2, text))));
  it.each<[string, Buffer]>([
    ["both value and raw_value", http(...basics, one(key, value, raw))],
    ["the other way round", http(...basics, one(key, raw, value))],
    ["a value twice", http(...basics, one(key, value, value))],
    ["an empty value behind one", http(...basics, one(key, value, field(2, "")))],
    ["raw_value twice", http(...basics, one(key, raw, raw))],
    ["an empty raw_value behind one", http(...basics, one(key, raw, field(3, "")))],
    ["two empty ones", http(...basics, one(key, field(2, ""), field(2, "")))],
    ["a key twice", http(...basics, one(key, key, value))],
    ["a key twice in the map", http(...basics, field(3, Buffer.concat([key, key, value])))],
    ["a value twice in the map", http(...basics, field(3, Buffer.concat([key, value, value])))],
    ["an empty value behind one in the map", http(...basics, field(3, Buffer.concat([key, value, field(2, "")])))],
    ["two header maps", http(...basics, one(key, value), one(key, value))],
    ["a value of another wire type", http(...basics, one(key, Buffer.from([2 * 8, 1])))],
    ["a peer with two addresses", peer(field(1, socket("192.0.2.1")), field(1, socket("192.0.2.2")))],
    ["two kinds of address", peer(field(1, Buffer.concat([socket("192.0.2.1"), field(2, field(1, "/pipe"))])))],
    ["a pipe before a socket", peer(field(1, Buffer.concat([field(2, field(1, "/pipe")), socket("192.0.2.1")])))],
    ["two principals", peer(field(4, "spiffe://a/proxy"), field(4, "spiffe://a/proxy"))],
    ["an empty principal behind one", peer(field(4, "spiffe://a/proxy"), field(4, ""))],
    ["a principal that is not UTF-8", peer(field(4, Buffer.from([0xff])))],
    ["an address that has two texts", peer(field(1, socket("192.0.2.1", "192.0.2.2")))],
    ["an empty text behind one", peer(field(1, socket("192.0.2.1", "")))],
  ])("F20: %s refuses the Check", (_, bytes) =>
    expect(fromCheckRequest(bytes, decode)).toMatchObject({ ok: false, reason: "header_malformed" }),
  );
  it("F20: and each of them once is fine", () => {
    expect(fromCheckRequest(peer(field(1, socket("192.0.2.1"))), decode)).toMatchObject({ ok: true });
    const named = peer(field(4, "spiffe://a/proxy"), field(1, socket("192.0.2.1")));
    expect(fromCheckRequest(named, decode)).toMatchObject({
      value: { principal: "spiffe://a/proxy", peer: "192.0.2.1" },
    });
    expect(fromCheckRequest(http(...basics, one(key, raw)), decode)).toMatchObject({ ok: true });
  });

  it("a name that looks like a known one at a glance is another name", () => {
    const partial = "xyenvoy-auth-partial-body";
    const headers = headersOf(
      list(line("cantent-type", "theirs"), line("content-type", "ours"), line(partial, "false")),
    );
    expect(headers?.get("content-type")).toBe("ours");
    expect(headers?.get("x-envoy-auth-partial-body")).toBeUndefined();
    expect([...(headers?.names() ?? [])]).toEqual(["cantent-type", "content-type", partial]);
  });

  it("names keep their order, also those that an object would put first", () => {
    const headers = headersOf(entry("a", "1"), entry("10", "2"), entry("b", "3"), entry("2", "4"));
    expect([...(headers?.names() ?? [])]).toEqual(["a", "10", "b", "2"]);
  });

  it("names that objects inherit are headers like others", () => {
    for (const odd of ["__proto__", "constructor", "tostring"]) {
      expect(headersOf(entry(odd, "x"))?.get(odd)).toBe("x");
      expect([...(headersOf(entry("a", "x"))?.names() ?? [])]).toEqual(["a"]);
      expect(headersOf(entry("a", "x"))?.get(odd)).toBeUndefined();
    }
  });

  it("D10: names and values are UTF-8, bar those that come as raw bytes", () => {
    const bad = Buffer.from([0xc0, 0xaf]);
    for (const broken of [
      field(3, Buffer.concat([field(1, bad), field(2, "x")])),
      field(3, Buffer.concat([field(1, "a"), field(2, bad)])),
      list(field(1, Buffer.concat([field(1, bad), field(2, "x")]))),
      list(field(1, Buffer.concat([field(1, "a"), field(2, bad)]))),
      field(3, Buffer.concat([field(1, "a"), field(2, Buffer.concat([Buffer.alloc(100, 0x61), bad]))])),
    ]) {
      expect(fromCheckRequest(http(...basics, broken), decode)).toMatchObject({
        ok: false,
        reason: "header_malformed",
      });
    }
    const raw = list(field(1, Buffer.concat([field(1, "a"), field(3, bad)])));
    expect(headersOf(raw)?.get("a")).toBe("\u00c0\u00af");
  });

  it("D03: more lines than a request may have are refused, and cost no more than to pass over them", () => {
    const many = (count: number, name: (i: number) => string) =>
      full.request.encode({
        attributes: {
          request: {
            http: {
              ...{ method: "POST", path: "/mcp", host: "gw" },
              header_map: { headers: Array.from({ length: count }, (_, i) => ({ key: name(i), value: "v" })) },
            },
          },
        },
      });
    expect(
      fromCheckRequest(
        many(200, (i) => `x${i}`),
        decode,
      ).ok,
    ).toBe(true);
    expect(
      fromCheckRequest(
        many(201, (i) => `x${i}`),
        decode,
      ),
    ).toMatchObject({ ok: false, reason: "header_too_large" });
    expect(
      fromCheckRequest(
        many(201, () => "same"),
        decode,
      ),
    ).toMatchObject({ ok: false, reason: "header_too_large" });
    const flood = many(300_000, (i) => `x${i}`);
    const started = performance.now();
    expect(fromCheckRequest(flood, decode)).toMatchObject({ ok: false, reason: "header_too_large" });
    expect(performance.now() - started).toBeLessThan(1000);
  });
});

describe.each(CODECS)("B24, B25, M12: whether the body is whole, read by %s", (_codec, { decode }) => {
  it.each<[string, Parameters<typeof checkMessage>[0], string]>([
    ["Envoy says so", { body: "{}" }, "bytes"],
    ["Envoy says partial", { body: "{}", headers: { "x-envoy-auth-partial-body": "true" } }, "partial"],
    ["one copy says partial", { body: "{}", headers: { "x-envoy-auth-partial-body": "false,true" } }, "partial"],
    ["an unknown word", { body: "{}", headers: { "x-envoy-auth-partial-body": "no" } }, "partial"],
    ["HTTP/2's last frame: the size is larger", { body: "{}", size: 5000 }, "partial"],
    ["without the header, sizes agree", { body: "{}", headers: { "x-envoy-auth-partial-body": "" } }, "partial"],
    [
      "a cut body of another data plane",
      { body: "{}", size: -1, headers: { "x-envoy-auth-partial-body": "true" } },
      "partial",
    ],
    ["content-length disagrees", { body: "{}", headers: { "content-length": "200" } }, "partial"],
    ["content-length agrees", { body: "{}", headers: { "content-length": "2" } }, "bytes"],
    ["none", {}, "none"],
    ["none, though content-length says so", { headers: { "content-length": "200" } }, "none"],
  ])("%s", (_, parts, kind) => {
    const step = fromCheckRequest(full.request.encode(checkMessage(parts)), decode);
    expect(step.ok && step.value.body.kind).toBe(kind);
  });

  it("a data plane without the header must agree with itself", () => {
    const kindOf = (size: number) => {
      const message = checkMessage({ body: "{}", size }) as {
        attributes: { request: { http: { header_map: { headers: { key: string }[] } } } };
      };
      const map = message.attributes.request.http.header_map;
      map.headers = map.headers.filter(({ key }) => key !== "x-envoy-auth-partial-body");
      const step = fromCheckRequest(full.request.encode(message), decode);
      return step.ok && step.value.body.kind;
    };
    expect([kindOf(2), kindOf(3), kindOf(1), kindOf(-1), kindOf(0)]).toEqual([
      "bytes",
      "partial",
      "partial",
      "partial",
      "partial",
    ]);
  });
});

describe.each(CODECS)("CheckResponse, written by %s", (_codec, { encode }) => {
  const headers = fc
    .dictionary(name, fc.stringMatching(/^[!-~]{1,40}$/), { maxKeys: 5 })
    .map((d) => new Map(Object.entries(d)));
  const metadata = fc.dictionary(name, text, { maxKeys: 5 }).map((d) => new Map(Object.entries(d)));

  it("is read by both .proto files as it was meant", () => {
    const denied = fc.record({
      kind: fc.constant("denied" as const),
      code: fc.integer({ min: 1, max: 16 }),
      http: fc.integer({ min: 200, max: 599 }),
      headers,
      body: text,
      metadata,
    });
    const ok = fc.record({
      kind: fc.constant("ok" as const),
      set: headers,
      remove: fc.array(name, { maxLength: 5 }),
      responseHeaders: headers,
      metadata,
    });
    fc.assert(
      fc.property(fc.oneof(denied, ok), (response: CheckResponse) => {
        const bytes = encode(response);
        const seen = full.response.decode(bytes) as never;
        const options = (map: ReadonlyMap<string, string>) =>
          [...map].map(([key, value]) => ({
            header: { key, value, raw_value: expect.anything() as unknown },
            append: { value: false },
            append_action: "OVERWRITE_IF_EXISTS_OR_ADD",
            keep_empty_value: false,
          }));
        if (response.kind === "denied") {
          expect(seen).toMatchObject({ status: { code: response.code }, http_response: "denied_response" });
          expect(seen).toHaveProperty("denied_response.body", response.body);
          expect(seen).toHaveProperty("denied_response.headers", options(response.headers));
        } else {
          expect(seen).toMatchObject({ status: { code: 0 }, http_response: "ok_response" });
          expect(seen).toHaveProperty("ok_response.headers_to_remove", response.remove);
          expect(seen).toHaveProperty("ok_response.headers", options(response.set));
          expect(seen).toHaveProperty("ok_response.response_headers_to_add", options(response.responseHeaders));
        }
        const code = response.kind === "ok" ? 0 : response.code;
        expect(own.response.decode(bytes)).toMatchObject({ status: { code } });
      }),
      { numRuns: 200 },
    );
  });
});
