import { describe, expect, it } from "vitest";
import { fakeClock } from "../../../test/fakes/clock.ts";
import { backoffMs, type Backoff } from "../../async/backoff.ts";
import { createBreaker } from "../breaker.ts";
import type { VaultResponse, VaultClient } from "./client.ts";
import { LOGIN_REFUSED, LoginKeeper, VAULT_AWAY } from "./login-keeper.ts";
import type { LoginResult } from "./login.ts";

const SECOND = 1000;
const AWAY: LoginResult = { ok: false, refused: false, detail: "timeout" };
const REFUSED: LoginResult = { ok: false, refused: true, detail: "status 400" };
const ok = (body: VaultResponse & { ok: true }) => Promise.resolve<VaultResponse>(body);

/** A log-in whose renewals bring these lifetimes; null is a refusal. */
function leaseOf(seconds: number | null, ...renewals: (number | null)[]): LoginResult & { ok: true } {
  const client = {
    renewSelf: () => {
      const next = renewals.shift() ?? null;
      if (next === null) return ok({ ok: true, status: 403, body: { errors: ["permission denied"] } });
      return ok({ ok: true, status: 200, body: { auth: { lease_duration: next } } });
    },
    revokeSelf: () => (revoked.push(client), ok({ ok: true, status: 204, body: null })),
  } as unknown as VaultClient;
  const revoked: VaultClient[] = [];
  return Object.assign({ ok: true as const, lease: { client, seconds, renewable: renewals.length > 0 } }, { revoked });
}

function keep(...results: (LoginResult | Promise<LoginResult>)[]) {
  const clock = fakeClock();
  const told: (LoginResult & { failures: number })[] = [];
  const keeper = new LoginKeeper({
    logIn: () => Promise.resolve(results.shift() ?? AWAY),
    onLogin: (result, failures) => told.push({ ...result, failures }),
    monotonic: clock.now,
    random: () => 0.5,
    later: clock.later,
  });
  return { clock, keeper, told };
}

describe("G11: LoginKeeper", () => {
  it("renews at two thirds of the lease, as long as the whole life comes back", async () => {
    const { clock, keeper, told } = keep(leaseOf(60, 60, 60, 60));
    await keeper.start();
    expect(clock.next()).toBe(40 * SECOND);
    await clock.pass(120 * SECOND);
    expect(await keeper.client()).not.toBeNull();
    expect(told).toHaveLength(1);
  });

  it("a shortened lease is the end of it: logs in anew at once", async () => {
    const [first, second] = [leaseOf(60, 60, 19, 60), leaseOf(60, 60)];
    const { clock, keeper, told } = keep(first, second);
    await keeper.start();
    await clock.pass(79 * SECOND);
    expect(await keeper.client()).toBe(first.lease.client);
    await clock.pass(1 * SECOND);
    expect(await keeper.client()).toBe(second.lease.client);
    expect([told.length, keeper.count]).toEqual([2, 2]);
  });

  it("a lease that cannot be renewed is replaced at two thirds", async () => {
    const { clock, keeper } = keep(leaseOf(60), leaseOf(60));
    await keeper.start();
    await clock.pass(40 * SECOND);
    expect(keeper.count).toBe(2);
  });

  it("a token without an end is left alone", async () => {
    const { clock, keeper } = keep(leaseOf(null));
    await keeper.start();
    expect(clock.next()).toBeNull();
    await clock.pass(1e9);
    expect(await keeper.client()).not.toBeNull();
  });

  it("an old token is used while a new one cannot be had, and not beyond its end", async () => {
    const first = leaseOf(60);
    const { clock, keeper } = keep(first, AWAY, AWAY, AWAY);
    await keeper.start();
    await clock.pass(59.9 * SECOND);
    expect(await keeper.client()).toBe(first.lease.client);
    await clock.pass(0.1 * SECOND);
    expect(await keeper.client()).toBeNull();
  });

  it("a lease of a second does not make a storm", async () => {
    const { clock, keeper, told } = keep(...Array.from({ length: 200 }, () => leaseOf(0.001)));
    await keeper.start();
    await clock.pass(1 * SECOND);
    expect(told.length).toBeLessThanOrEqual(11);
  });

  it("N01: a Vault that is away is tried for ever, at most 2.4 s apart", async () => {
    const { clock, keeper, told } = keep(...Array.from({ length: 50 }, () => AWAY), leaseOf(60, 60));
    await keeper.start();
    await clock.pass(97 * SECOND);
    expect(told.length).toBeGreaterThan(45);
    await clock.pass(10 * SECOND);
    expect(await keeper.client()).not.toBeNull();
    expect(clock.next()).toBeGreaterThan(0);
  });

  it("a refusal is tried again ever more seldom, a minute apart in the end", async () => {
    const { clock, keeper, told } = keep(...Array.from({ length: 100 }, () => REFUSED));
    await keeper.start();
    await clock.pass(3600 * SECOND);
    expect(told.length).toBeLessThan(70);
    expect(told.length).toBeGreaterThan(50);
  });

  it("a Vault that was away for long and comes back half set up is not left alone for a minute", async () => {
    const { clock, keeper } = keep(...Array.from({ length: 40 }, () => AWAY), REFUSED, REFUSED, leaseOf(60, 60));
    await keeper.start();
    await clock.pass(84 * SECOND);
    expect(await keeper.client()).not.toBeNull();
  });

  it("a dead token is replaced once, however many say so, and nobody uses it meanwhile", async () => {
    const { promise, resolve } = Promise.withResolvers<LoginResult>();
    const [first, second] = [leaseOf(60, 60), leaseOf(60, 60)];
    const { keeper, told } = keep(first, promise);
    await keeper.start();
    const all = Promise.all(Array.from({ length: 10 }, () => keeper.replace(first.lease.client)));
    const waiting = keeper.client();
    resolve(second);
    await all;
    expect(await waiting).toBe(second.lease.client);
    await keeper.replace(first.lease.client);
    expect(told).toHaveLength(2);
  });

  it("while a Vault is away, a dead token does not shorten the pause", async () => {
    const first = leaseOf(60);
    const { clock, keeper, told } = keep(first, AWAY, leaseOf(60));
    await keeper.start();
    await clock.pass(40 * SECOND);
    await keeper.replace(first.lease.client);
    expect([told.length, await keeper.client()]).toEqual([2, null]);
    await clock.pass(1 * SECOND);
    expect(told).toHaveLength(3);
  });

  it("closed: no alarm, no client, and the token is given back", async () => {
    const first = Object.assign(leaseOf(60, 60)) as ReturnType<typeof leaseOf> & { revoked: VaultClient[] };
    const { clock, keeper } = keep(first, AWAY);
    await keeper.start();
    await keeper.close(true);
    expect([clock.next(), await keeper.client(), first.revoked.length]).toEqual([null, null, 1]);
  });

  it("a log-in that ends after the close changes nothing", async () => {
    const { promise, resolve } = Promise.withResolvers<LoginResult>();
    const { clock, keeper, told } = keep(promise);
    const started = keeper.start();
    await keeper.close(true);
    resolve(leaseOf(60, 60));
    await started;
    expect([clock.next(), await keeper.client(), told.length]).toEqual([null, null, 0]);
  });

  it("a bug in a log-in is a failed one", async () => {
    const { clock, keeper, told } = keep(Promise.reject(new Error("secret id s3cr3t")));
    await keeper.start();
    expect(told).toEqual([{ ok: false, refused: false, detail: "internal", failures: 1 }]);
    expect(clock.next()).not.toBeNull();
  });
});

describe("the pause before the next log-in", () => {
  it("doubles within its bounds, with a fifth of jitter", () => {
    const pauses = (backoff: Backoff) => [1, 2, 3, 4, 5, 6, 7, 8, 1000].map((n) => backoffMs(backoff, n, 0.5));
    expect(pauses(VAULT_AWAY)).toEqual([250, 500, 1000, 2000, 2000, 2000, 2000, 2000, 2000]);
    expect(pauses(LOGIN_REFUSED)).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
    expect([0, 1].map((random) => Math.round(backoffMs(VAULT_AWAY, 1, random)))).toEqual([200, 300]);
  });
});

describe("G08: createBreaker", () => {
  it("opens after five questions without an answer, and one at a time goes through after a second", () => {
    const clock = { ms: 0 };
    const breaker = createBreaker(() => clock.ms);
    const question = (answered: boolean) => breaker.enter() && (breaker.leave(answered), true);
    for (let i = 0; i < 4; i++) question(false);
    question(true);
    for (let i = 0; i < 5; i++) expect(question(false)).toBe(true);
    expect(question(true)).toBe(false);
    clock.ms = 1000;
    expect([breaker.enter(), breaker.enter()]).toEqual([true, false]);
    breaker.leave(false);
    expect(breaker.enter()).toBe(false);
    clock.ms = 2000;
    expect(question(true)).toBe(true);
    expect([breaker.enter(), breaker.enter()]).toEqual([true, true]);
  });
});
