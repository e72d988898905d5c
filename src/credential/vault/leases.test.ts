// Leases whose renewal ends when another has taken their place, and those of an earlier log-in: the fake and the real Vault are asked by test/contract/vault-leases.ts.
import { expect, it } from "vitest";
import { ALICE } from "../../../test/fakes/authz.ts";
import { Secret } from "../../secret/secret.ts";
import type { Lookup } from "../source.ts";
import type { VaultClient, VaultResponse } from "./client.ts";
import { createLeases, type LeaseRequest } from "./leases.ts";

const IDLE_MS = 600_000;

/** A Vault that makes `one`, `two` and so on, each for 100 s; a renewal waits to be answered. */
function vault() {
  const revoked: string[] = [];
  const renewals: ((response: VaultResponse) => void)[] = [];
  const login = { number: 1, isLive: true };
  const alarms = new Set<{ readonly at: number; readonly run: () => void }>();
  const names = ["one", "two", "three"];
  let made = 0;
  let now = 0;
  const client = {
    issue: () => {
      const id = names[made++] ?? "more";
      const body = { lease_id: id, lease_duration: 100, renewable: true, data: { password: id } };
      return Promise.resolve({ ok: true, status: 200, body });
    },
    renewLease: () => new Promise<VaultResponse>((answer) => renewals.push(answer)),
    revokeLease: (id: string) => (revoked.push(id), Promise.resolve({ ok: true, status: 204, body: null })),
  } as unknown as VaultClient;
  const leases = createLeases({
    session: { ask: (read) => read(client), logins: () => login.number, isLive: () => login.isLive },
    monotonic: () => now,
    now: () => now,
    later: (run, ms) => {
      const alarm = { at: now + ms, run };
      alarms.add(alarm);
      return { cancel: () => alarms.delete(alarm) };
    },
    onEvent: () => {},
  });
  const settled = () => new Promise((done) => setImmediate(done));
  return {
    ...{ leases, revoked, settled, login },
    renewal: (response: VaultResponse) => (renewals.shift()?.(response), settled()),
    pass: async (ms: number) => {
      now += ms;
      for (const alarm of [...alarms]) if (alarm.at <= now && alarms.delete(alarm)) alarm.run();
      await settled();
    },
    get: async (refused?: LeaseRequest["refused"]): Promise<Lookup> => {
      const credentialOf = ([value = ""]: readonly string[]) => ({
        ...{ kind: "vault" as const, header: "authorization", value: new Secret(value) },
      });
      const request = { key: "k", identity: ALICE, server: "s", path: "p", idleMs: IDLE_MS, onRead: () => {} };
      return leases.get({ ...request, fields: ["password"], credentialOf, refused }, new AbortController().signal);
    },
  };
}
const valueOf = (lookup: Lookup) => ("found" in lookup ? lookup.found.value?.reveal() : null);
const LOST: VaultResponse = { ok: true, status: 400, body: null };

/** `one` is being renewed when its server refuses it, so that `two` takes its place. */
async function replacedInRenewal() {
  const all = vault();
  const first = await all.get();
  await all.pass(51_000);
  if (!("found" in first)) throw new Error("no secret");
  expect(valueOf(await all.get({ credential: first.found, mayAsk: () => true }))).toBe("two");
  return all;
}

it("a lease that is found lost does not take that away which has its place", async () => {
  const { get, renewal } = await replacedInRenewal();
  await renewal(LOST);
  expect(valueOf(await get())).toBe("two");
});

it("of a caller who is revoked then, each lease is revoked", async () => {
  const { leases, revoked, renewal, settled } = await replacedInRenewal();
  await renewal(LOST);
  leases.purge(() => true);
  await settled();
  expect(revoked).toEqual(["one", "two"]);
  expect(leases.size).toBe(0);
});

it("a lease of an earlier log-in is used no more: all that its token made ends with it", async () => {
  const { get, login } = vault();
  expect([valueOf(await get()), valueOf(await get())]).toEqual(["one", "one"]);
  login.number = 2;
  expect([valueOf(await get()), valueOf(await get())]).toEqual(["two", "two"]);
});

it("without a log-in no lease is used, and none that is made then", async () => {
  const { get, login, revoked, settled } = vault();
  expect(valueOf(await get())).toBe("one");
  login.isLive = false;
  expect(await get()).toHaveProperty("cannotTell");
  await settled();
  expect(revoked).toEqual(["two"]);
});
