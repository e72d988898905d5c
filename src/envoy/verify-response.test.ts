// The read-back takes the bytes of a grant as an allow, and no other bytes.
import { describe, expect, it } from "vitest";
import { ALICE, MANAGED, THERE } from "../../test/fakes/authz.ts";
import { codecs, FULL_PROTO } from "../../test/fakes/check-request.ts";
import { Grant } from "../authz/grant.ts";
import { Secret } from "../secret/secret.ts";
import { encodeCheckResponse } from "./encode-check-response.ts";
import { WireFault } from "./protobuf.ts";
import { isAllow, isRefusal } from "./verify-response.ts";

const { response } = codecs(FULL_PROTO);

function granted(value = "Bearer pat"): Grant {
  const credential = { kind: "static" as const, header: "authorization", value: new Secret(value) };
  const settings = { managed: new Set(MANAGED), wristbandHeader: "x-authorized-tools", routeHeader: "x-mcp-route" };
  const proof = { identity: ALICE, decision: "housekeeping" as const };
  const wristband = { jws: "a.b.c", jti: "j", leftOut: [] };
  const passage = {
    to: "relay" as const,
    sessionId: null,
    server: "s",
    credential: { ...credential, destination: THERE },
    wristband,
    responseHeaders: new Map(),
  };
  const step = Grant.of(proof, passage, settings);
  if (!step.ok) throw new Error("no grant");
  return step.value;
}

function bytesOf({ set, remove, responseHeaders }: Grant, metadata: [string, string][] = []): Buffer {
  return encodeCheckResponse({ kind: "ok", set, remove, responseHeaders, metadata });
}

/** The verdict; bytes that are no message are nobody's allow. */
function verdict(read: () => boolean): boolean {
  try {
    return read();
  } catch (error) {
    if (error instanceof WireFault) return false;
    throw error;
  }
}

const BASE = granted();
const GOOD = bytesOf(BASE);
const METADATA_AT = GOOD.lastIndexOf(0x22, GOOD.indexOf("mcp", GOOD.length - 20));

describe("M1, M3, C22: what leaves as an allow is read once more", () => {
  it("an allow with its own grant", () => expect(isAllow(GOOD, BASE)).toBe(true));

  it("no byte of it may differ", () => {
    const taken: string[] = [];
    for (let at = 0; at < METADATA_AT; at += 1) {
      for (let change = 1; change < 256; change += 1) {
        const mutant = Buffer.from(GOOD);
        mutant[at] = (mutant[at] ?? 0) ^ change;
        if (verdict(() => isAllow(mutant, BASE))) taken.push(`byte ${at} ^ ${change}`);
      }
    }
    expect(taken).toEqual([]);
  });

  it("bytes of the names that many grants remove are kept of a right answer alone, and read again where another name follows", () => {
    const fresh = granted();
    expect(fresh.shared).not.toBe(BASE.shared);
    const [first = ""] = fresh.shared;
    const at = GOOD.indexOf(first);
    const wrong = Buffer.from(GOOD);
    wrong[at] = 0x7a;
    expect(isAllow(wrong, fresh)).toBe(false);
    for (let i = 0; i < 2; i += 1) expect(isAllow(GOOD, fresh)).toBe(true);
    expect(isAllow(wrong, fresh)).toBe(false);
    const removing = (...names: string[]) => ({ ...fresh, remove: names }) as Pick<Grant, "remove"> as Grant;
    const other = removing("x-other", ...fresh.remove.slice(1));
    expect(isAllow(GOOD, other)).toBe(false);
    expect(isAllow(bytesOf(other), other)).toBe(true);
    const more = removing(...fresh.remove, "x-more");
    expect(isAllow(GOOD, more)).toBe(false);
    expect(isAllow(bytesOf(more), more)).toBe(true);
    expect(isAllow(bytesOf(more), fresh)).toBe(false);
    const twice = removing(...fresh.remove, first);
    expect(isAllow(bytesOf(twice), twice)).toBe(false);
  });

  it("what stands among those names is read each time: a header of one caller's answer does not pass in another's", () => {
    const field = (number: number, ...parts: (Buffer | string)[]) => {
      const bytes = Buffer.concat(parts.map((part) => Buffer.from(part)));
      return Buffer.concat([Buffer.from([number * 8 + 2, bytes.length]), bytes]);
    };
    const header = field(2, field(1, field(1, "x-key"), field(2, "hers")), field(2), Buffer.from([0x18, 2]));
    const bytes = Buffer.concat([field(1), field(3, field(5, "x-one"), header, field(5, "x-two"))]);
    const shared = Object.freeze(["x-one", "x-two"]);
    const grantOf = (...set: [string, string][]) =>
      ({ set: new Map(set), remove: shared, shared, query: null }) as Pick<Grant, "set" | "remove" | "query"> as Grant;
    expect(isAllow(bytes, grantOf(["x-key", "hers"]))).toBe(true);
    expect(isAllow(bytes, grantOf())).toBe(false);
    expect(isAllow(bytes, grantOf(["x-key", "hers"]))).toBe(true);
  });

  it("cut off, it is none", () => {
    for (let at = 0; at < METADATA_AT; at += 1) {
      expect(verdict(() => isAllow(GOOD.subarray(0, at), BASE))).toBe(false);
    }
  });

  const set = (...headers: [string, string][]) => ({ ...BASE, set: new Map([...BASE.set, ...headers]) });
  const only = (name: string, value: string) => ({ ...BASE, set: new Map([[name, value]]), remove: [] });
  it.each<[string, Pick<Grant, "set" | "remove" | "route" | "responseHeaders">]>([
    ["a header more", set(["x-extra", "1"])],
    ["a header less", { ...BASE, set: new Map([...BASE.set].slice(1)) }],
    ["another order", { ...BASE, set: new Map([...BASE.set].toReversed()) }],
    ["a removal more", { ...BASE, remove: [...BASE.remove, "x-extra"] }],
    ["a removal less", { ...BASE, remove: BASE.remove.slice(1) }],
  ])("%s than in the grant", (_, other) => {
    expect(isAllow(bytesOf(other as Grant), BASE)).toBe(false);
    expect(isAllow(GOOD, other as Grant)).toBe(false);
  });

  it.each<[string, Pick<Grant, "set" | "remove" | "route" | "responseHeaders">]>([
    ["set and removed", { ...BASE, remove: [...BASE.remove, "x-authorized-tools"] }],
    ["removed twice", { ...BASE, remove: [...BASE.remove, BASE.remove[0] ?? ""] }],
    ...["host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade", "keep-alive"].flatMap(
      (name): [string, Pick<Grant, "set" | "remove" | "route" | "responseHeaders">][] => [
        [`sets ${name}`, only(name, "1")],
        [`removes ${name}`, { ...BASE, remove: [name] }],
      ],
    ),
    ["sets a pseudo-header", only(":path", "/admin")],
    ["sets a name in upper case", only("Authorization", "x")],
    ["sets nothing's name", only("", "x")],
    ["an empty value", only("x", "")],
    ["a value with a newline", only("x", "a\nb: c")],
    ["a value that ends in a space", only("x", "a ")],
    ["a value beyond ASCII", only("x", "é")],
  ])("%s: not even if the grant says so", (_, wrong) => {
    expect(isAllow(bytesOf(wrong as Grant), wrong as Grant)).toBe(false);
  });

  it("a long value is compared whole", () => {
    const long = "x".repeat(40_000);
    const bytes = bytesOf(granted(long));
    expect(isAllow(bytes, granted(long))).toBe(true);
    expect(isAllow(bytes, granted(`${long.slice(1)}y`))).toBe(false);
  });

  it("what the reference library reads as an allow beside a denial is none", () => {
    const both = response.encode({ status: { code: 0 }, ok_response: {}, denied_response: {} });
    expect(isAllow(Buffer.concat([GOOD, both]), BASE)).toBe(false);
    expect(isAllow(Buffer.concat([GOOD, GOOD]), BASE)).toBe(false);
    expect(isAllow(Buffer.alloc(0), BASE)).toBe(false);
    const otherCode = Buffer.concat([Buffer.from([0x0a, 2, 8, 7]), GOOD.subarray(2)]);
    expect(response.decode(otherCode)).toMatchObject({ status: { code: 7 }, http_response: "ok_response" });
    expect(isAllow(otherCode, BASE)).toBe(false);
  });
});

describe("D01: what leaves as a refusal is read once more", () => {
  const denied = (code: number, http: number) =>
    encodeCheckResponse({ kind: "denied", code, http, headers: new Map(), body: "x", metadata: [] });
  it.each<[string, Buffer, boolean]>([
    ["a refusal", denied(7, 403), true],
    ["a document", denied(7, 200), true],
    ["status 0", denied(0, 403), false],
    ["no content", denied(7, 204), false],
    ["an informational status", denied(7, 101), false],
    ["no HTTP status", denied(7, 0), false],
    ["600", denied(7, 600), false],
    ["nothing", Buffer.alloc(0), false],
    ["a code alone", response.encode({ status: { code: 7 } }), false],
    ["an error_response", response.encode({ status: { code: 7 }, error_response: { status: { code: 403 } } }), false],
    ["an allow", GOOD, false],
    ["an allow behind a refusal", Buffer.concat([denied(7, 403), GOOD]), false],
    ["a second code", Buffer.concat([denied(7, 403), response.encode({ status: { code: 7 } })]), false],
    ["two refusals", Buffer.concat([denied(7, 403), denied(7, 403)]), false],
  ])("%s: %#", (_, bytes, expected) => expect(verdict(() => isRefusal(bytes))).toBe(expected));
});
