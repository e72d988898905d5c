import { describe, expect, it } from "vitest";
import { ALICE as CALLER, THERE } from "../../test/fakes/authz.ts";
import { newCheckFacts } from "../authz/facts.ts";
import type { Credential, Identity } from "../authz/types.ts";
import { Secret } from "../secret/secret.ts";
import { createChains } from "./chain.ts";
import { createLookupCache } from "./lookup-cache.ts";
import { COOL_DOWN_MS, createRefetcher, MAX_PER_SERVER } from "./refetch.ts";
import type { CredentialSource, Lookup } from "./source.ts";

const never = new AbortController().signal;
const ALICE: Identity = { ...CALLER, subject: "alice" };
const BOB: Identity = { ...CALLER, subject: "bob" };

/** A store of one value for all, behind a cache, and what it was asked. */
function world(kinds: (cached: CredentialSource) => readonly CredentialSource[] = (cached) => [cached]) {
  const clock = { at: 1 };
  const store: { lookup: Lookup; asked: string[]; wait: Promise<void> } = {
    lookup: found("old"),
    asked: [],
    wait: Promise.resolve(),
  };
  const monotonic = () => clock.at;
  const cache = createLookupCache({ monotonic });
  const cached: CredentialSource = {
    kind: "vault",
    get: (identity, signal, refused) =>
      cache.get(
        {
          key: identity.subject,
          identity,
          refused,
          async ask() {
            store.asked.push(identity.subject);
            await store.wait;
            return { lookup: store.lookup, ttlMs: 60_000 };
          },
        },
        signal,
      ),
  };
  const ask = createChains(new Map([["s", kinds(cached)]]), new Map([["s", THERE]]));
  const at = { destination: THERE };
  const destinationOf = () => at.destination;
  const refetcher = createRefetcher({ ttlMs: 300_000, timeoutMs: 1000, monotonic, destinationOf, maxCalls: 100 });
  let calls = 0;
  /** One Check that sends its call to the broker. @returns its jti */
  const check = async (identity: Identity = ALICE) => {
    const step = await ask("s", { identity }, never);
    if (!step.ok) throw new Error(step.reason);
    const jti = `call ${(calls += 1)}`;
    const facts = newCheckFacts(jti, 0);
    refetcher.keep({ jti, server: "s", identity, credential: step.value, facts }, ask);
    return jti;
  };
  return { clock, store, refetcher, check, at };
}

function found(value: string): Lookup & { found: Credential } {
  return { found: { kind: "vault", header: "authorization", value: new Secret(value) } };
}

const valueOf = (one: Awaited<ReturnType<ReturnType<typeof createRefetcher>["refetch"]>>) =>
  one.result === "renewed" ? one.credential.value?.reveal() : one.result;

describe("P2.4-5: a 401 of a server fetches the credential of its call anew", () => {
  it("another value is given to the call, and to every later Check without a request", async () => {
    const { store, refetcher, check } = world();
    await check();
    const jti = await check();
    store.lookup = found("new");
    expect(valueOf(await refetcher.refetch(jti, "s"))).toBe("new");
    expect(valueOf(await refetcher.refetch(await check(), "s"))).toBe("same");
    expect(store.asked).toHaveLength(2);
  });
  it("each call once, its own server only, and none whose credential was fetched for it", async () => {
    const { store, refetcher, check } = world();
    const first = await check();
    expect(await refetcher.refetch(first, "s")).toEqual({ result: "unknown" });
    const jti = await check();
    store.lookup = found("new");
    expect(await refetcher.refetch(jti, "t")).toEqual({ result: "unknown" });
    expect(valueOf(await refetcher.refetch(jti, "s"))).toBe("new");
    expect(await refetcher.refetch(jti, "s")).toEqual({ result: "unknown" });
    expect(await refetcher.refetch("another", "s")).toEqual({ result: "unknown" });
  });
  it("F21: none once the server has moved, and the store is not asked for a call that goes to the old place", async () => {
    const { store, refetcher, check, at } = world();
    await check();
    const jti = await check();
    store.lookup = found("new");
    at.destination = "0123456789abcdef";
    expect(await refetcher.refetch(jti, "s")).toEqual({ result: "unavailable" });
    expect(store.asked).toHaveLength(1);
  });
  it("CF-13: fifty refused calls of one caller ask once, and all get the new one", async () => {
    const { store, refetcher, check } = world();
    await check();
    const calls = await Promise.all(Array.from({ length: 30 }, () => check()));
    store.lookup = found("new");
    const all = await Promise.all(calls.map((jti) => refetcher.refetch(jti, "s")));
    expect(new Set(all.map(valueOf))).toEqual(new Set(["new"]));
    expect(store.asked).toHaveLength(2);
  });
  it("a server that always answers 401 costs one request per caller and cool-down", async () => {
    const { clock, store, refetcher, check } = world();
    for (const who of [ALICE, BOB]) await check(who);
    for (let i = 0; i < 20; i += 1)
      for (const who of [ALICE, BOB]) expect(valueOf(await refetcher.refetch(await check(who), "s"))).toBe("same");
    expect(store.asked).toEqual(["alice", "bob", "alice", "bob"]);
    clock.at += COOL_DOWN_MS + 1;
    await refetcher.refetch(await check(), "s");
    await refetcher.refetch(await check(), "s");
    expect(store.asked).toHaveLength(5);
  });
  it("a credential that differs each time costs no more", async () => {
    const { store, refetcher, check } = world();
    await check();
    for (let i = 0; i < 10; i += 1) {
      store.lookup = found(`token ${i}`);
      await refetcher.refetch(await check(), "s");
    }
    expect(store.asked).toHaveLength(2);
  });
  it("a store that cannot tell leaves the old one in place; one that has none ends it", async () => {
    const { clock, store, refetcher, check } = world();
    await check();
    store.lookup = { cannotTell: "sealed" };
    expect(await refetcher.refetch(await check(), "s")).toEqual({ result: "unavailable" });
    const jti = await check();
    clock.at += COOL_DOWN_MS + 1;
    store.lookup = { hasNone: "deleted" };
    expect(await refetcher.refetch(jti, "s")).toEqual({ result: "none" });
    await expect(check()).rejects.toThrow("credential_missing");
  });
  it("goes on to the next kind of the chain as each Check does", async () => {
    const next: CredentialSource = { kind: "exchange", get: () => found("exchanged") };
    const { store, refetcher, check } = world((cached) => [cached, next]);
    await check();
    const jti = await check();
    store.lookup = { hasNone: "deleted" };
    expect(valueOf(await refetcher.refetch(jti, "s"))).toBe("exchanged");
  });
  it("G18: forgets the calls of a revoked caller, and those whose wristband or token has ended", async () => {
    const { clock, store, refetcher, check } = world();
    for (const who of [ALICE, BOB]) await check(who);
    const [alices, bobs] = [await check(), await check(BOB)];
    store.lookup = found("new");
    refetcher.purge(({ sub }) => sub === "alice");
    expect(await refetcher.refetch(alices, "s")).toEqual({ result: "unknown" });
    clock.at += 300_001;
    expect(await refetcher.refetch(bobs, "s")).toEqual({ result: "unknown" });
    const late = { ...BOB, expiresAt: 1 };
    await check(late);
    expect(await refetcher.refetch(await check(late), "s")).toEqual({ result: "unknown" });
  });
  it("bounds its calls in number, and refetches for one server at a time", async () => {
    const { store, refetcher, check } = world();
    const callers = Array.from({ length: MAX_PER_SERVER + 1 }, (_, i) => ({ ...ALICE, subject: `user ${i}` }));
    for (const who of callers) await check(who);
    const calls = await Promise.all(callers.map(check));
    let release = () => {};
    store.wait = new Promise((done) => (release = done));
    const all = calls.map((jti) => refetcher.refetch(jti, "s"));
    expect(await all.at(-1)).toEqual({ result: "busy" });
    release();
    await Promise.all(all);
    for (let i = 0; i < 200; i += 1) await check();
    expect(refetcher.size).toBe(100);
  });
});
