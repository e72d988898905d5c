import fc from "fast-check";
import { expect, test } from "vitest";
import { createNameHistory, packNames, PLAIN_BYTES, revisedNames, unpackNames } from "./compact-names.ts";

const name = fc.stringMatching(/^[a-zA-Z0-9_.-]{1,40}$/);
const list = fc.uniqueArray(name, { maxLength: 300 }).map((names) => names.toSorted());
const server = fc.record({ tools: list, prompts: list, resources: list });
const catalog = fc.dictionary(fc.stringMatching(/^[a-z][a-z0-9-]{0,9}$/), server, {
  maxKeys: 5,
  noNullPrototype: true,
});

function part(names: readonly string[], seed: number): string[] {
  return names.filter((_, i) => ((i * 2_654_435_761 + seed) >>> 3) % 3 !== 0);
}

test("what was packed is unpacked, for any catalogue and any part of it", () => {
  fc.assert(
    fc.property(catalog, fc.nat(), (listed, seed) => {
      const revised = new Map(Object.entries(listed).map(([each, names]) => [each, revisedNames(names)]));
      const shown = (kind: "tools" | "prompts" | "resources") =>
        Object.fromEntries(Object.entries(listed).map(([each, names]) => [each, part(names[kind], seed)]));
      const visible = { tools: shown("tools"), prompts: shown("prompts"), resources: shown("resources") };
      const packed = packNames(visible, (each) => revised.get(each));
      const read = unpackNames(packed, (each, revision) => {
        const found = revised.get(each);
        return found?.revision === revision ? found : undefined;
      });
      expect(read).toEqual({ ok: true, names: visible });
      if (JSON.stringify(visible).length <= PLAIN_BYTES / 2) expect(packed.cat).toEqual({});
    }),
  );
});

const tools = Array.from({ length: 1000 }, (_, i) => `tool_number_${String(i).padStart(4, "0")}`);
const listed = revisedNames({ tools, prompts: [], resources: [] });
const visible = { tools: { s: tools }, prompts: {}, resources: {} };

test("10,000 names of ten servers take less than 4 KiB", () => {
  const all = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`server-${i}`, tools]));
  const packed = packNames({ ...visible, tools: all }, () => listed);
  expect(JSON.stringify(packed).length).toBeLessThan(4096);
});

test("a name that the revision does not have keeps its list plain", () => {
  const more = [...tools, "zzz"];
  expect(packNames({ ...visible, tools: { s: more } }, () => listed)).toMatchObject({ tools: { s: more }, cat: {} });
  expect(packNames(visible, () => undefined)).toMatchObject({ tools: { s: tools }, cat: {} });
});

test("a bitset that does not fit its revision shows nothing", () => {
  const packed = packNames(visible, () => listed);
  const bits = packed.tools["s"];
  expect(bits).toEqual(expect.any(String));
  const unpack = (text: string, cat: Record<string, string> = packed.cat) =>
    unpackNames({ ...packed, tools: { s: text }, cat }, (_, revision) =>
      revision === listed.revision ? listed : undefined,
    );
  expect(unpack(String(bits))).toEqual({ ok: true, names: visible });
  for (const other of ["", "AA", `${String(bits)}AA`, `${String(bits)}=`, `*${String(bits).slice(1)}`])
    expect(unpack(other)).toEqual({ ok: false, fault: "malformed" });
  expect(unpack(String(bits), { s: "x".repeat(22) })).toEqual({ ok: false, fault: "revision" });
  expect(unpack(String(bits), {})).toEqual({ ok: false, fault: "malformed" });
});

test("a bit beyond the last name is refused", () => {
  const three = revisedNames({ tools: ["a", "b", "c"], prompts: [], resources: [] });
  const read = (byte: number) =>
    unpackNames(
      { tools: { s: Buffer.of(byte).toString("base64url") }, prompts: {}, resources: {}, cat: { s: three.revision } },
      () => three,
    );
  expect(read(0b101)).toEqual({ ok: true, names: { tools: { s: ["a", "c"] }, prompts: {}, resources: {} } });
  expect(read(0b1101)).toEqual({ ok: false, fault: "malformed" });
});

test("the last eight revisions are known, also one that comes again", () => {
  const history = createNameHistory();
  const names = (i: number) => ({ tools: [`t${i}`], prompts: [], resources: [] });
  const revision = (i: number) => revisedNames(names(i)).revision;
  for (let i = 0; i < 8; i += 1) history.add("s", names(i));
  history.add("s", names(0));
  history.add("s", names(8));
  expect(history.find("s", revision(0))?.tools).toEqual(["t0"]);
  expect(history.find("s", revision(1))).toBeUndefined();
  expect(history.find("s", revision(8))?.tools).toEqual(["t8"]);
  expect(history.find("other", revision(8))).toBeUndefined();
});

test("the revision does not depend on the order of the names", () => {
  const { revision } = revisedNames({ tools: ["b", "a", "b"], prompts: [], resources: ["u:1"] });
  expect(revision).toBe(revisedNames({ tools: ["a", "b"], prompts: [], resources: ["u:1"] }).revision);
  expect(revision).not.toBe(revisedNames({ tools: ["a"], prompts: ["b"], resources: ["u:1"] }).revision);
});
