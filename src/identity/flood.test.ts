// F12, F15: bounds on the cost of unverified tokens, by source address.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compact, makeKey, startIssuer, type FakeIssuer } from "../../test/fakes/issuer.ts";
import { createIdentity, type IdentityService } from "./identity.ts";

const NOW = 1_790_000_000;
const key = makeKey("k1");
const other = makeKey("k1");
let issuer: FakeIssuer;
beforeAll(async () => {
  issuer = await startIssuer(key);
});
afterAll(() => issuer.close());

interface Lab {
  readonly service: IdentityService;
  readonly clock: { ms: number };
  from(source: string, token: string): Promise<string>;
}

async function lab(more: readonly FakeIssuer[] = []): Promise<Lab> {
  const clock = { ms: 1 };
  const options = { audiences: ["gateway"], algorithms: ["ES256"], tokenType: "at+jwt", allowedHosts: [] } as const;
  const claims = { username: "u", groups: "g", scopes: "s" };
  const service = createIdentity({
    issuers: [issuer, ...more].map((one) => ({
      ...options,
      issuer: one.issuer,
      jwksUri: `${one.issuer}/jwks`,
      claims,
    })),
    now: () => NOW * 1000,
    monotonic: () => clock.ms,
  });
  await service.start();
  return {
    service,
    clock,
    async from(source, token) {
      const step = await service.identify(token, { resource: "r", source }, AbortSignal.timeout(20_000));
      return step.ok ? "ok" : step.reason;
    },
  };
}

let serial = 0;
const tokenBy = (by: typeof key, more: object = {}, kid = "k1") => {
  serial += 1;
  const claims = { iss: issuer.issuer, aud: "gateway", sub: "alice", exp: NOW + 300, jti: `j${serial}`, ...more };
  return compact(by, { alg: "ES256", typ: "at+jwt", kid }, claims);
};
const good = () => tokenBy(key);

interface Flood {
  readonly count: number;
  readonly source?: (i: number) => string;
  readonly token?: () => string;
}

const ATTACKER = "192.0.2.1";
const manySources = (i: number) => `10.0.${i >> 8}.${i % 256}`;

/** How many tokens, all at a time, end in which reason. Forged ones of one source unless said otherwise. */
async function flood({ from }: Lab, { count, source = () => ATTACKER, token = () => tokenBy(other) }: Flood) {
  const reasons: Record<string, number> = {};
  const all = Array.from({ length: count }, (_, i) => from(source(i), token()));
  for (const reason of await Promise.all(all)) reasons[reason] = (reasons[reason] ?? 0) + 1;
  return reasons;
}

const forgeries: [string, () => string][] = [
  ["a forged signature", () => tokenBy(other)],
  ["another issuer", () => tokenBy(key, { iss: "https://evil.example.com" })],
  ["no token at all", () => "garbage"],
  ["claims that are refused", () => tokenBy(key, { exp: NOW + 9 * 86_400 })],
  ["a garbage kid", () => tokenBy(key, {}, `garbage-${serial}`)],
];

describe("a source that brings tokens which fail", () => {
  it.each(forgeries)("%s: refused by name beyond its budget, before anything is verified", async (_, token) => {
    const at = await lab();
    at.clock.ms += 10; // after the issuer was asked for its keys
    const cached = good();
    expect(await at.from(ATTACKER, cached)).toBe("ok");
    const reasons = await flood(at, { count: 500, token });
    expect(reasons["rate_limited"]).toBeGreaterThanOrEqual(500 - 200 - 16);
    expect(reasons["rate_limited"]).toBeLessThanOrEqual(500 - 200);
    expect(await at.from(ATTACKER, good())).toBe("rate_limited");
    expect(await at.from(ATTACKER, cached), "a token that was verified before").toBe("ok");
    expect(await at.from("192.0.2.2", good()), "another source").toBe("ok");
    expect(await at.from("2001:db8::1", good())).toBe("ok");
    at.clock.ms += 1000;
    expect(await at.from(ATTACKER, good()), "a second later").toBe("ok");
    at.service.close();
  });

  it("an IPv6 sender has one budget for its network, however many addresses it takes", async () => {
    const at = await lab();
    await flood(at, { count: 300, source: (i) => `2001:db8:1:2::${i.toString(16)}` });
    expect(await at.from("2001:db8:1:2:ffff::1", good())).toBe("rate_limited");
    expect(await at.from("2001:db8:1:3::1", good())).toBe("ok");
    at.service.close();
  });
});

describe("what costs no budget", () => {
  it("tokens that are good, however many at a time", async () => {
    const at = await lab();
    expect(await flood(at, { count: 800, token: good })).toEqual({ ok: 800 });
    at.service.close();
  });

  it("a token of a real caller that has ended: the caller is told each time", async () => {
    const at = await lab();
    const expired = tokenBy(key, { exp: NOW - 500, iat: NOW - 600 });
    expect(await flood(at, { count: 500, token: () => expired })).toEqual({ token_expired: 500 });
    expect(await at.from(ATTACKER, good())).toBe("ok");
    at.service.close();
  });

  it("an issuer that cannot be asked", async () => {
    const at = await lab();
    const { respond } = issuer;
    issuer.respond = (response) => response.writeHead(500).end();
    at.clock.ms = 60_000;
    const reasons = await flood(at, { count: 300, token: () => tokenBy(key, {}, "next") });
    issuer.respond = respond;
    expect(reasons).toEqual({ keys_unavailable: 300 });
    expect(await at.from(ATTACKER, good())).toBe("ok");
    at.service.close();
  });
});

describe("an issuer that does not answer", () => {
  it("keeps no token of another issuer, nor of a key that is here, from being verified", async () => {
    const hanging = await startIssuer(key);
    const at = await lab([hanging]);
    hanging.respond = () => {};
    at.clock.ms = 60_000;
    let isOver = false;
    const token = () => tokenBy(other, { iss: hanging.issuer }, `garbage-${serial}`);
    const flooding = flood(at, { count: 200, token }).finally(() => (isOver = true));
    expect(await at.from("192.0.2.2", good())).toBe("ok");
    expect(await at.from("192.0.2.2", tokenBy(key, { iss: hanging.issuer }))).toBe("ok");
    expect(await at.from(ATTACKER, good()), "the same address").toBe("ok");
    expect(isOver, "the others wait").toBe(false);
    const reasons = await flooding;
    expect(reasons["rate_limited"], "so many of one address may wait").toBe(200 - 128);
    at.service.close();
    await hanging.close();
  });
});

describe("thousands of addresses", () => {
  it("share the turns with everybody: another source's token does not wait for all of one source's", async () => {
    const at = await lab();
    let done = 0;
    const forged = Array.from({ length: 1000 }, () => at.from("10.0.0.1", good()).then(() => (done += 1)));
    expect(await at.from("198.51.100.1", good())).toBe("ok");
    expect(done).toBeLessThan(200);
    await Promise.all(forged);
    at.service.close();
  });

  it("two of them fill the queue for themselves, not for a third", async () => {
    const at = await lab();
    const flooding = flood(at, { count: 2100, source: (i) => `10.0.0.${i % 2}` });
    const honest = Array.from({ length: 20 }, () => at.from("198.51.100.1", good()));
    expect(new Set(await Promise.all(honest))).toEqual(new Set(["ok"]));
    await flooding;
    at.service.close();
  });

  it("more than can wait are refused, and verified tokens are not among them", async () => {
    const at = await lab();
    const cached = good();
    expect(await at.from("198.51.100.1", cached)).toBe("ok");
    const flooding = flood(at, { count: 3000, source: manySources });
    expect(await at.from("198.51.100.1", cached)).toBe("ok");
    const reasons = await flooding;
    expect(reasons["rate_limited"]).toBeGreaterThanOrEqual(3000 - 2048 - 32);
    expect(await at.from("198.51.100.1", good())).toBe("ok");
    at.service.close();
  });

  it("a token whose time is over before its turn costs no verification", async () => {
    const at = await lab();
    const flooding = flood(at, { count: 500, source: manySources });
    const use = { resource: "r", source: "198.51.100.1" };
    expect(await at.service.identify(good(), use, AbortSignal.abort())).toMatchObject({ reason: "deadline" });
    await flooding;
    at.service.close();
  });
});
