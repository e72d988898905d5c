import { expect, it } from "vitest";
import { Secret } from "../secret/secret.ts";
import { changedKeys, configText } from "./live.ts";
import type { Config } from "./load.ts";

it.each<[string, unknown, unknown]>([
  ["a secret", { credential: [{ value: new Secret("one") }] }, { credential: [{ value: new Secret("two") }] }],
  ["a secret at the top", new Secret("one"), new Secret("two")],
  ["a set", { hosts: new Set(["a"]) }, { hosts: new Set(["b"]) }],
  ["a number", { port: 1 }, { port: 2 }],
])("%s that is another one is a change, and the same is none", (_, before, after) => {
  expect(configText(before)).not.toBe(configText(after));
  expect(configText(before)).toBe(configText(before));
  const config = (servers: unknown) => ({ servers, wristband: {} }) as unknown as Config;
  expect([changedKeys(config(before), config(after)), changedKeys(config(before), config(before))]).toEqual([
    ["servers"],
    [],
  ]);
});
