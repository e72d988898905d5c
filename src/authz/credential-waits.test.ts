import { expect, it } from "vitest";
import { ALICE, allowingPorts, checkSettings, requestOf } from "../../test/fakes/authz.ts";
import { createCheck } from "./check.ts";
import { createCredentialWaits } from "./credential-waits.ts";
import { pass, refuse, type Step } from "./step.ts";
import type { BoundCredential } from "./types.ts";
import { newCheckFacts } from "./facts.ts";

const never = new AbortController().signal;
const bob = { ...ALICE, subject: "bob" };
const reasons = (steps: readonly Step<BoundCredential>[]) => steps.map((step) => step.ok || step.reason);
const late = refuse("credential_unavailable", "late");

it("one caller has so many at a time and is refused beyond, others have theirs, and who is answered makes room", async () => {
  const waits = createCredentialWaits();
  const vault = Promise.withResolvers<Step<BoundCredential>>();
  const asked = Array.from({ length: 64 }, () => waits(ALICE, vault.promise, never));
  expect(reasons([await waits(ALICE, vault.promise, never)])).toEqual(["rate_limited"]);
  const others = waits(bob, vault.promise, never);
  vault.resolve(late);
  expect(new Set(reasons(await Promise.all([...asked, others])))).toEqual(new Set(["credential_unavailable"]));
  const found = pass({} as BoundCredential);
  expect(await waits(ALICE, Promise.resolve(found), never)).toBe(found);
});

it("a bug in a source is the Check's, also where nobody waits for it", async () => {
  const waits = createCredentialWaits();
  const vault = Promise.withResolvers<Step<BoundCredential>>();
  const asked = Array.from({ length: 65 }, () => waits(ALICE, vault.promise, never));
  vault.reject(new Error("bug"));
  const ends = await Promise.allSettled(asked);
  expect(ends.filter(({ status }) => status === "rejected")).toHaveLength(64);
  expect(reasons([await waits(ALICE, Promise.resolve(late), never)]), "none is left behind").toEqual([late.reason]);
});

it("a Vault that does not answer holds so many Checks of one caller; a credential that is at hand waits for none", async () => {
  const vault = Promise.withResolvers<Step<BoundCredential>>();
  const answers = [
    ...Array.from({ length: 65 }, () => vault.promise),
    pass({ kind: "none", header: "x", value: null } as BoundCredential),
  ];
  const check = createCheck(checkSettings(), allowingPorts({ fetchCredential: () => answers.shift() ?? late }));
  const ask = async () => {
    const outcome = await check(requestOf(), newCheckFacts("r", 0), never);
    return outcome.ok || outcome.reason;
  };
  const asked = Array.from({ length: 64 }, ask);
  expect([await ask(), await ask()]).toEqual(["rate_limited", true]);
  vault.resolve(late);
  expect(new Set(await Promise.all(asked))).toEqual(new Set(["credential_unavailable"]));
});
