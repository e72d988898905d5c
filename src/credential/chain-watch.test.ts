// An entry of a chain that never finds anything is told of once; one that has found something never is.
import { expect, it } from "vitest";
import { ALICE } from "../../test/fakes/authz.ts";
import { Secret } from "../secret/secret.ts";
import { SILENT_AFTER, watchEntry } from "./chain-watch.ts";
import type { Lookup } from "./source.ts";

const found: Lookup = { found: { kind: "vault", header: "authorization", value: new Secret("x") } };
const none: Lookup = { hasNone: "no entry" };
const many = (lookup: Lookup, count: number) => Array.from({ length: count }, () => lookup);

async function told(answers: readonly Lookup[], isLater: boolean): Promise<number> {
  let count = 0;
  const rest = [...answers];
  const next = () => rest.shift() ?? none;
  const source = { kind: "vault" as const, get: () => (isLater ? Promise.resolve(next()) : next()) };
  const watched = watchEntry(source, () => (count += 1));
  for (const answer of answers) expect(await watched.get(ALICE, new AbortController().signal)).toBe(answer);
  return count;
}

it.each([true, false])("later: %s", async (isLater) => {
  expect(await told(many(none, SILENT_AFTER - 1), isLater)).toBe(0);
  expect(await told(many(none, 3 * SILENT_AFTER), isLater)).toBe(1);
  expect(await told([found, ...many(none, 3 * SILENT_AFTER)], isLater)).toBe(0);
  expect(await told(many({ cannotTell: "x" }, 3 * SILENT_AFTER), isLater)).toBe(0);
});
