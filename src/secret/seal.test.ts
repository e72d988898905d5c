import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createSealer } from "./seal.ts";

const key = (id: string, fill: number) => ({ id, key: Buffer.alloc(32, fill) });
const context = { purpose: "session", bound: ["https://idp.example.com", "alice"] };
const value = Buffer.from("a value");
const sealer = createSealer([key("new", 1), key("old", 2)]);
const sealed = sealer.seal(value, context);

describe("what is sealed", () => {
  it("opens to the same bytes, in the same context", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.string(), fc.array(fc.string()), (bytes, purpose, bound) => {
        expect(sealer.open(sealer.seal(bytes, { purpose, bound }), { purpose, bound })).toEqual(Buffer.from(bytes));
      }),
    );
  });

  it("says nothing of its value, and is never twice the same", () => {
    expect(Buffer.from(sealed, "base64url").includes(value)).toBe(false);
    expect(sealer.seal(value, context)).not.toBe(sealed);
    expect(sealed).toMatch(/^[A-Za-z0-9_-]+$/);
  });

  it.each([
    ["purpose", { ...context, purpose: "task" }],
    ["subject", { ...context, bound: ["https://idp.example.com", "bob"] }],
    ["borders of values", { ...context, bound: ["https://idp.example.comalice"] }],
    ["borders of values", { purpose: "session", bound: ["https://idp.example.com", "al", "ice"] }],
    ["place of a value", { purpose: "https://idp.example.com", bound: ["session", "alice"] }],
    ["fewer values", { purpose: "session", bound: ["https://idp.example.com"] }],
  ])("does not open with another %s", (_, other) => expect(sealer.open(sealed, other)).toBeNull());
});

describe("what was altered", () => {
  it("does not open, whichever bit of whichever byte", () => {
    const bytes = Buffer.from(sealed, "base64url");
    for (let i = 0; i < bytes.length * 8; i += 1) {
      const altered = Buffer.from(bytes);
      altered.writeUInt8(altered.readUInt8(i >> 3) ^ (1 << (i & 7)), i >> 3);
      expect(sealer.open(altered.toString("base64url"), context)).toBeNull();
    }
  });

  it("does not open, whichever character", () => {
    for (let i = 0; i < sealed.length; i += 1)
      for (const other of "A_-9=.+/ \u00e9") {
        const altered = sealed.slice(0, i) + other + sealed.slice(i + 1);
        if (altered !== sealed) expect(sealer.open(altered, context)).toBeNull();
      }
  });

  it("does not open shorter or longer, at either end", () => {
    const bytes = Buffer.from(sealed, "base64url");
    for (let cut = 1; cut <= bytes.length; cut += 1) {
      expect(sealer.open(bytes.subarray(cut).toString("base64url"), context)).toBeNull();
      expect(sealer.open(bytes.subarray(0, -cut).toString("base64url"), context)).toBeNull();
    }
    for (const text of [`${sealed}A`, `A${sealed}`, `${sealed}=`, `${sealed}\n`, ` ${sealed}`, sealed.repeat(2)])
      expect(sealer.open(text, context)).toBeNull();
  });

  it("nor does any other text", () => {
    fc.assert(fc.property(fc.string(), (text) => sealer.open(text, context) === null));
    const ofBytes = (bytes: Uint8Array) => sealer.open(Buffer.from(bytes).toString("base64url"), context) === null;
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), ofBytes));
    expect(sealer.open("A".repeat(1_000_000), context)).toBeNull();
  });
});

describe("keys", () => {
  it("the first one seals, all open: so they can be replaced", () => {
    const before = createSealer([key("old", 2)]).seal(value, context);
    expect(sealer.open(before, context)).toEqual(value);
    expect(createSealer([key("old", 2)]).open(sealed, context)).toBeNull();
    expect(createSealer([key("new", 1)]).open(sealed, context)).toEqual(value);
  });

  it("another key of the same name opens nothing", () =>
    expect(createSealer([key("new", 3), key("old", 2)]).open(sealed, context)).toBeNull());

  it.each([
    ["no key", []],
    ["a short key", [{ id: "a", key: Buffer.alloc(16) }]],
    ["a long key", [{ id: "a", key: Buffer.alloc(33) }]],
    ["a key without a name", [key("", 1)]],
    ["a second key that is short", [key("a", 1), { id: "b", key: Buffer.alloc(31) }]],
  ])("%s: no sealer", (_, keys) => expect(() => createSealer(keys)).toThrow(RangeError));
});
