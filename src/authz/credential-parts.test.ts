import fc from "fast-check";
import { expect, it } from "vitest";
import { Secret } from "../secret/secret.ts";
import { headersAmong, inQuery, parameterOf, readMore, writeMore } from "./credential-parts.ts";
import type { Credential } from "./types.ts";

const plain: Credential = { kind: "static", header: "authorization", value: new Secret("a") };
const sessionOf = (credential: Credential) => readMore(writeMore(credential) ?? "")?.session;
const assertion = (text: string, stable: string) => ({ header: "x-a", value: new Secret(text), stable });

it("one header needs nothing more", () => expect(writeMore(plain)).toBeNull());

it("what was written is read again; nothing else is", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.string()), fc.string(), (names, text) => {
      const more = names.map((header) => ({ header, value: new Secret(text) }));
      const read = readMore(writeMore({ ...plain, more, stable: "x" }) ?? "");
      expect(read?.more.map((part) => [part.header, part.value.reveal()])).toEqual(names.map((name) => [name, text]));
      expect(readMore(text)).toBeNull();
    }),
  );
});

it("sessions are told apart by what lasts: the credential and what is said of the caller, not by a signature", () => {
  const base = { ...plain, assertion: assertion("one", "alice") };
  expect(sessionOf({ ...plain, assertion: assertion("two", "alice") })).toBe(sessionOf(base));
  expect(sessionOf({ ...plain, assertion: assertion("one", "bob") })).not.toBe(sessionOf(base));
  expect(sessionOf({ ...base, value: new Secret("b") })).not.toBe(sessionOf(base));
  expect(sessionOf({ ...base, more: [{ header: "b", value: new Secret("b") }] })).not.toBe(sessionOf(base));
  expect(sessionOf({ ...plain, more: [{ header: "b", value: new Secret("b") }] })).toBeNull();
});

it("a place in the query is no header", () => {
  expect(parameterOf(inQuery("api_key"))).toBe("api_key");
  expect(headersAmong([inQuery("a"), "x-a"])).toEqual(["x-a"]);
});
