import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { claimedIssuer, readClaims, readToken, splitToken } from "./compact.ts";

const issuerOf = (text: string) => claimedIssuer(Buffer.from(text));
const part = (text: string) => Buffer.from(text).toString("base64url");

describe("the issuer of claims that are not read", () => {
  it.each<[string, string | null]>([
    ['{"iss":"https://a"}', "https://a"],
    ['{ "sub" : "x",\n"iss"\t:\r"https://a" }', "https://a"],
    [String.raw`{"iss":"https:\/\/a"}`, "https://a"],
    ['{"act":{"iss":"b"},"iss":"a"}', "a"],
    ['{"x":["iss",{"iss":"b"}],"iss":"a"}', "a"],
    ['{"x":"iss","iss":"a"}', "a"],
    [String.raw`{"x":"\",\"iss\":\"b\"","iss":"a"}`, "a"],
    [String.raw`{"\u0069ss":"a"}`, null],
    ['{"Iss":"a","iss2":"b"}', null],
    ['{"iss":7}', null],
    ['{"iss":["a"]}', null],
    ['{"iss":"a', null],
    ['{"iss"', null],
    ['{"iss":', null],
    [`{"iss":"${"a".repeat(3000)}"}`, null],
    [String.raw`{"iss":"\ud800"}`, null],
    ["", null],
    ["\\".repeat(100), null],
    ['"', null],
  ])("%j", (text, expected) => expect(issuerOf(text)).toBe(expected));

  it("property: of whatever the strict reader takes it is the one that is read there", () => {
    const text = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("iss", '"iss":"x"', "{", "}", "\\"));
    const value = fc.oneof(text, fc.nat(), fc.array(text), fc.dictionary(fc.constantFrom("iss", "a"), text));
    const claims = fc.dictionary(fc.oneof(text, fc.constant("iss")), value, { maxKeys: 5 });
    fc.assert(
      fc.property(claims, fc.boolean(), (object, spaced) => {
        const bytes = Buffer.from(JSON.stringify(object, null, spaced ? 1 : 0));
        const read = readClaims(bytes);
        if (typeof read === "string") return;
        const { iss } = read;
        expect(claimedIssuer(bytes)).toBe(typeof iss === "string" ? iss : null);
      }),
      { numRuns: 2000 },
    );
  });

  it("property: any bytes end", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => void claimedIssuer(Buffer.from(bytes))));
  });
});

describe("F12: what a forged token costs", () => {
  it("its claims are not looked into, whatever they are; its header is bounded", () => {
    const header = part('{"alg":"ES256"}');
    for (const payload of ["no JSON", '{"a":1,"a":2}', `[${"[".repeat(9000)}`])
      expect(splitToken(`${header}.${part(payload)}.c2ln`), payload.slice(0, 20)).toMatchObject({
        header: { alg: "ES256" },
      });
    expect(splitToken(`${part(`{"alg":"${"x".repeat(3000)}"}`)}.e30.c2ln`)).toBe("header: too large");
    const members = Array.from({ length: 33 }, (_, i) => `"k${i}":1`).join();
    expect(splitToken(`${part(`{${members}}`)}.e30.c2ln`)).toBe("header: too many members");
    expect(splitToken(`${header}.${part("x".repeat(17_000))}.c2ln`)).toBe("payload: too large");
  });

  it("a token whose signature is somebody else's affair is read as a whole", () => {
    expect(readToken(`${part('{"alg":"ES256"}')}.${part('{"a":1,"a":2}')}.c2ln`)).toMatch(/^payload: /);
    expect(readToken(`${part('{"alg":"ES256"}')}.${part('{"a":1}')}.c2ln`)).toMatchObject({ payload: { a: 1 } });
  });
});
