// An entry of a chain that never finds anything, while one behind it does, is told of once and named until it finds something.
import { expect, it } from "vitest";
import { ALICE } from "../../test/fakes/authz.ts";
import { Secret } from "../secret/secret.ts";
import { createChainWatch, SILENT_AFTER } from "./chain-watch.ts";
import { createChains } from "./chain.ts";
import type { Lookup } from "./source.ts";

const found: Lookup = { found: { kind: "vault", header: "authorization", value: new Secret("x") } };
const none: Lookup = { hasNone: "no entry" };
const cannotTell: Lookup = { cannotTell: "away" };

/** A chain whose entries answer what `answers` has now, and what was told of it. */
function chainOf(answers: Lookup[], isLater: boolean) {
  const told: string[] = [];
  const watch = createChainWatch((key) => void told.push(key));
  const placed = answers.map((_, i) => {
    const answer = () => answers[i] ?? none;
    return {
      key: `[${i}]`,
      source: { kind: "vault" as const, get: () => (isLater ? Promise.resolve(answer()) : answer()) },
    };
  });
  const ask = createChains(new Map([["github", watch.watch(placed)]]));
  const call = async (times: number) => {
    for (let i = 0; i < times; i += 1) await ask("github", { identity: ALICE }, new AbortController().signal);
  };
  return { told, silent: watch.silent, call };
}

it.each([true, false])("an entry that has found nothing is named, and told of once (later: %s)", async (isLater) => {
  const answers = [none, found];
  const { told, silent, call } = chainOf(answers, isLater);
  await call(SILENT_AFTER - 1);
  expect([told, silent()]).toEqual([[], []]);
  await call(3 * SILENT_AFTER);
  expect([told, silent()]).toEqual([["[0]"], ["[0]"]]);
  answers[0] = found;
  await call(1);
  expect([told, silent()]).toEqual([["[0]"], []]);
});

it.each<[string, Lookup[]]>([
  ["has found something once", [found, found]],
  ["cannot be asked", [cannotTell, found]],
  ["has none behind it that finds anything: nobody is served", [none, none]],
  ["is the last", [found, none]],
])("an entry that %s is not named", async (_, answers) => {
  const { told, silent, call } = chainOf(answers, false);
  await call(1);
  if (answers[0] === found) answers[0] = none;
  await call(3 * SILENT_AFTER);
  expect([told, silent()]).toEqual([[], []]);
});

it("each silent entry of a chain is named, those that found something are not", async () => {
  const { silent, call } = chainOf([none, none, found, none], false);
  await call(SILENT_AFTER);
  expect(silent()).toEqual(["[0]", "[1]"]);
});
