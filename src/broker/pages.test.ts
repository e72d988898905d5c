import { expect, describe, it } from "vitest";
import { pageOf as pageWith, type PagedList } from "./pages.ts";

const shown = (count: number, length = 2) =>
  Array.from({ length: count }, (_, i) => ({
    name: `t${String(i).padStart(4, "0")}`,
    json: `"${"x".repeat(length)}"`,
  }));
const pageOf = (list: PagedList, cursor: unknown, entries = 200) => pageWith(list, cursor, entries);
const alice: PagedList = { of: ["https://idp", "alice", "s", "tools", "r1"], shown: shown(450) };

/** All pages, as a client turns them. */
function pages(list: PagedList, entries = 200) {
  const found = [];
  let cursor: string | undefined;
  do {
    const page = pageOf(list, cursor, entries);
    if (page === null) throw new Error("refused");
    found.push(page);
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
  return found;
}

it("pages hold as many entries as is said, in order, each entry once", () => {
  const names = { ...alice, shown: alice.shown.map(({ name }) => ({ name, json: name })) };
  const found = pages(names);
  expect(found.map(({ items }) => items.length)).toEqual([200, 200, 50]);
  expect(found.flatMap(({ items }) => items)).toEqual(alice.shown.map(({ name }) => name));
});

it("or a mebibyte, and one entry at least", () => {
  expect(pages({ ...alice, shown: shown(20, 100_000) }).map(({ items }) => items.length)).toEqual([10, 10]);
  expect(pages({ ...alice, shown: shown(3, 2_000_000) }).map(({ items }) => items.length)).toEqual([1, 1, 1]);
});

it("CL-01: without a number, one page while it fits a mebibyte: some clients never ask for the next", () => {
  expect(pages({ ...alice, shown: shown(10_000, 98) }, Infinity).map(({ items }) => items.length)).toEqual([10_000]);
  expect(pages({ ...alice, shown: shown(12_000, 98) }, Infinity).map(({ items }) => items.length)).toEqual([
    10_485, 1515,
  ]);
});

it("a list that fits has no cursor; an empty one is one empty page", () => {
  expect(pageOf({ ...alice, shown: shown(200) }, undefined)?.nextCursor).toBeNull();
  expect(pageOf({ ...alice, shown: [] }, undefined)).toEqual({ items: [], nextCursor: null });
});

describe("B44: a cursor belongs to one list", () => {
  const cursor = pageOf(alice, undefined)?.nextCursor ?? "";

  it("does not say what it is made of", () => {
    expect(cursor).toMatch(/^[A-Za-z0-9_-]{27}$/);
    expect(Buffer.from(cursor, "base64url").toString("latin1")).not.toMatch(/alice|idp|t0/);
  });

  it.each<[string, Partial<PagedList>]>([
    ["somebody else's", { of: ["https://idp", "bob", "s", "tools", "r1"] }],
    ["of the same name at another issuer", { of: ["https://other", "alice", "s", "tools", "r1"] }],
    ["another endpoint's", { of: ["https://idp", "alice", null, "tools", "r1"] }],
    ["another server's", { of: ["https://idp", "alice", "t", "tools", "r1"] }],
    ["another kind's", { of: ["https://idp", "alice", "s", "prompts", "r1"] }],
    ["another revision's", { of: ["https://idp", "alice", "s", "tools", "r2"] }],
    ["one entry fewer", { shown: shown(449) }],
    ["other rights", { shown: [...shown(449), { name: "t9999", json: "1" }] }],
    ["too short a list", { shown: [] }],
  ])("a list that is %s does not take it", (_, change) => expect(pageOf({ ...alice, ...change }, cursor)).toBeNull());

  it.each([
    "",
    "0",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAA",
    `${cursor}=`,
    `${cursor}A`,
    cursor.slice(1),
    ` ${cursor}`,
    cursor.toLowerCase(),
    "../../etc/passwd",
    null,
    1,
    true,
    [cursor],
    { cursor },
  ])("%j is no cursor", (made) => expect(pageOf(alice, made)).toBeNull());

  it("nor is any neighbour of it: no place outside the list, no other spelling of the same bytes", () => {
    const bytes = Buffer.from(cursor, "base64url");
    const at = (place: number) => {
      const changed = Buffer.from(bytes);
      changed.writeUInt32BE(place, 16);
      return pageOf(alice, changed.toString("base64url"));
    };
    for (const place of [0, 1, 199, 201, 400, 450, 451, 0xff_ff_ff_ff]) expect(at(place)).toBeNull();
    const last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const spellings = [...last]
      .map((letter) => cursor.slice(0, -1) + letter)
      .filter((made) => pageOf(alice, made) !== null);
    expect(spellings).toEqual([cursor]);
    for (let i = 0; i < 16; i += 1) {
      const flipped = Buffer.from(bytes);
      flipped[i] = (flipped[i] ?? 0) ^ 1;
      expect(pageOf(alice, flipped.toString("base64url"))).toBeNull();
    }
  });
});
