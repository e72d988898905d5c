import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import type { Config } from "../config/load.ts";
import { createLiveSealer } from "./seal-keys.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-seal-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const configOf = (...ids: string[]) =>
  ({ sessions: { keys: ids.map((id) => ({ id, file: join(folder, id) })) } }) as unknown as Pick<Config, "sessions">;
const write = (id: string, byte: number, bytes = 32) => writeFileSync(join(folder, id), Buffer.alloc(bytes, byte));
const CONTEXT = { purpose: "session", bound: ["alice"] };

it("keys are replaced while they are in use: a new one seals, an old one opens until it is taken out", () => {
  write("k1", 1);
  write("k2", 2);
  const sealer = createLiveSealer(configOf("k1"));
  if (sealer === null) throw new Error("none");
  const first = sealer.seal(Buffer.from("x"), CONTEXT);
  const opens = (text: string) => sealer.open(text, CONTEXT)?.toString() ?? null;
  sealer.reload(configOf("k2", "k1"));
  const second = sealer.seal(Buffer.from("y"), CONTEXT);
  expect([opens(first), opens(second)]).toEqual(["x", "y"]);
  sealer.reload(configOf("k2"));
  expect([opens(first), opens(second)]).toEqual([null, "y"]);
  // The same name with other bytes is another key.
  write("k2", 3);
  sealer.reload(configOf("k2"));
  expect(opens(second)).toBeNull();
});

it.each<[string, () => void]>([
  ["is gone", () => rmSync(join(folder, "k1"))],
  ["is too short", () => write("k1", 1, 31)],
  ["is empty", () => write("k1", 1, 0)],
])("a file that %s leaves the keys that are there", (_, spoil) => {
  write("k1", 1);
  const sealer = createLiveSealer(configOf("k1"));
  const sealed = sealer?.seal(Buffer.from("x"), CONTEXT) ?? "";
  spoil();
  expect(() => sealer?.reload(configOf("k1"))).toThrow(/sessions\.keys\[0\]/);
  expect(sealer?.open(sealed, CONTEXT)?.toString()).toBe("x");
});

it("without sessions there is none, and a configuration that loses them leaves the keys", () => {
  expect(createLiveSealer({ sessions: null })).toBeNull();
  write("k1", 1);
  const sealer = createLiveSealer(configOf("k1"));
  const sealed = sealer?.seal(Buffer.from("x"), CONTEXT) ?? "";
  sealer?.reload({ sessions: null });
  expect(sealer?.open(sealed, CONTEXT)?.toString()).toBe("x");
});
