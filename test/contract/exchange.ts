// What every IdP must do with our token exchange: one suite for the fake, the embedded provider and a real Keycloak.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TokenIdentity } from "../../src/authz/types.ts";
import { Secret } from "../../src/secret/secret.ts";
import { createLookupCache } from "../../src/credential/lookup-cache.ts";
import type { Profile } from "../../src/credential/exchange/errors.ts";
import { createActor } from "../../src/credential/exchange/actor.ts";
import { exchangeSource, type ExchangeOptions, type ExchangeOutcome } from "../../src/credential/exchange/source.ts";
import { createTokenEndpoint } from "../../src/credential/exchange/token-endpoint.ts";
import type { Lookup } from "../../src/credential/source.ts";

export interface ExchangeWorld {
  readonly tokenEndpoint: string;
  readonly profile: Profile;
  readonly client: { readonly id: string; readonly secret: string };
  /** Alice may have a token for it, bob may not. */
  readonly audience: string;
  readonly scope: string;
  readonly allowScopes?: readonly string[];
  /** What an audience means that the IdP does not know. */
  readonly unknownAudience: "refused" | "cannotTell";
  /** Whom `act` names when the gateway is the actor; null for an IdP that does not know `actor_token`. */
  readonly actor: string | null;
  caller(person: "alice" | "bob"): Promise<TokenIdentity>;
  close(): Promise<void>;
}

const never = new AbortController().signal;

/** An exchange source of this world with parts of the options changed, and what it did. */
export function sourceOf(world: ExchangeWorld, changes: Partial<ExchangeOptions> = {}, isDelegation = false) {
  const { audience, scope, profile, client, allowScopes = [] } = world;
  const endpoint = createTokenEndpoint({ url: world.tokenEndpoint, ca: null });
  const clocks = { monotonic: performance.now(), asked: 0, ahead: 0 };
  const outcomes: ExchangeOutcome[] = [];
  const counted: typeof endpoint = {
    ...endpoint,
    post(...args) {
      clocks.asked += 1;
      return endpoint.post(...args);
    },
  };
  const options: ExchangeOptions = {
    entry: "servers.github.credential[0]",
    issuer: null,
    header: "authorization",
    scheme: "Bearer",
    profile,
    client: { id: client.id, secret: new Secret(client.secret) },
    audience,
    scope,
    allowScopes,
    timeoutMs: 5000, // a loaded machine is not what is tested
    negativeTtlMs: 5000,
    ...changes,
  };
  const cache = createLookupCache({ monotonic: () => clocks.monotonic });
  const onOutcome = (outcome: ExchangeOutcome) => outcomes.push(outcome);
  const deps = { endpoint: counted, cache, now: () => Date.now() + clocks.ahead, onOutcome };
  const actor = createActor({ ...options, ...deps, onResult: () => {} });
  const source = exchangeSource(options, isDelegation ? { ...deps, actor } : deps);
  return {
    source,
    get: async (identity: TokenIdentity): Promise<Lookup> => source.get(identity, never),
    clocks,
    outcomes,
    close: () => endpoint.close(),
  };
}

export function claimsOf(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as Record<string, unknown>;
}

/** The token that was found. */
export function foundToken(answer: Lookup): string {
  if (!("found" in answer)) throw new Error(`nothing found: ${JSON.stringify(answer)}`);
  return answer.found.value?.reveal().replace(/^Bearer /, "") ?? "";
}

export function exchangeContract(name: string, start: () => Promise<ExchangeWorld>): void {
  describe(`token exchange with ${name}`, () => {
    let world: ExchangeWorld;
    let alice: TokenIdentity;
    let bob: TokenIdentity;
    const open: { close(): void }[] = [];
    const using = (changes: Partial<ExchangeOptions> = {}, isDelegation = false) => {
      const source = sourceOf(world, changes, isDelegation);
      open.push(source);
      return source;
    };

    beforeAll(async () => {
      world = await start();
      alice = await world.caller("alice");
      bob = await world.caller("bob");
    });
    afterAll(async () => {
      for (const source of open) source.close();
      await world.close();
    });

    it("P2.3-2, P2.3-3, P9.3-2: alice gets a bearer token for this audience, for herself, and not her own", async () => {
      const { get, outcomes } = using();
      const answer = await get(alice);
      expect(answer).toMatchObject({ found: { kind: "exchange", header: "authorization" } });
      const token = foundToken(answer);
      expect(token).not.toBe(alice.token.reveal());
      const { aud, sub, exp } = claimsOf(token);
      expect([[aud].flat(), sub]).toEqual([[world.audience], alice.subject]);
      expect(exp).toBeGreaterThan(Date.now() / 1000);
      expect(outcomes).toEqual(["ok"]);
    });

    it("CF-13, H10: fifty first calls at once are one request, and the next fifty are none", async () => {
      const { get, clocks } = using();
      const first = await Promise.all(Array.from({ length: 50 }, async () => get(alice)));
      for (let i = 0; i < 50; i += 1) first.push(await get(alice));
      expect(new Set(first.map(foundToken)).size).toBe(1);
      expect(clocks.asked).toBe(1);
    });

    it("CF-13: another audience, scope or caller never gets alice's token", async () => {
      const { get } = using();
      const token = foundToken(await get(alice));
      expect(await get(bob)).toMatchObject({ refused: expect.any(String) as string });
      const [one = ""] = world.scope.split(" ");
      expect(foundToken(await using({ scope: one }).get(alice))).not.toBe(token);
    });

    it("5.7: a token is not kept beyond the caller's own, however long the IdP lets it live", async () => {
      const { get, clocks } = using();
      await get(alice);
      clocks.monotonic += alice.expiresAt * 1000 - Date.now();
      await get(alice);
      expect(clocks.asked).toBe(2);
    });

    it("4.7: somebody whom the IdP refuses is refused, and asked for once per negativeTtlMs", async () => {
      const { get, clocks, outcomes } = using();
      for (let i = 0; i < 3; i += 1) {
        const answer = await get(bob);
        expect(answer).toMatchObject({ refused: expect.any(String) as string });
        expect(JSON.stringify(answer)).not.toContain(bob.token.reveal());
      }
      expect([clocks.asked, outcomes]).toEqual([1, ["none"]]);
      clocks.monotonic += 5001;
      await get(bob);
      expect(clocks.asked).toBe(2);
    });

    it("H06: a token that the IdP does not accept is refused", async () => {
      const [header, claims] = alice.token.reveal().split(".");
      const forged = `${header}.${claims}.${"A".repeat(86)}`;
      expect(await using().get({ ...alice, token: new Secret(forged) })).toMatchObject({
        refused: expect.any(String) as string,
      });
    });

    it("P2.3-6, H05: with the gateway as actor the token names both, or there is none", async () => {
      const answer = await using({}, true).get(alice);
      if (world.actor === null) {
        expect(answer).toHaveProperty("cannotTell");
        return;
      }
      expect(claimsOf(foundToken(answer))).toMatchObject({ sub: alice.subject, act: { sub: world.actor } });
      expect(answer).toMatchObject({ found: { origin: { audience: world.audience, actors: [world.actor] } } });
      expect(await using({}, true).get(bob)).toHaveProperty("refused");
    });

    it("a wrong client secret is cannot tell, and is never remembered", async () => {
      const { get, clocks, outcomes } = using({ client: { id: world.client.id, secret: new Secret("wrong") } });
      expect(await get(alice)).toMatchObject({ cannotTell: expect.stringContaining("see client") as string });
      await get(alice);
      expect([clocks.asked, outcomes]).toEqual([2, ["unavailable", "unavailable"]]);
    });

    it("an unknown client is cannot tell", async () => {
      const { get } = using({ client: { id: "nobody", secret: new Secret("x") } });
      expect(await get(alice)).toMatchObject({ cannotTell: expect.any(String) as string });
    });

    it("H02: an audience that the IdP does not know gets nothing", async () => {
      const { get } = using({ audience: "https://unknown.example.com" });
      expect(await get(alice)).toMatchObject({ [world.unknownAudience]: expect.any(String) as string });
    });

    it("a scope that may not be asked for is cannot tell, and the detail says where to look", async () => {
      const { get } = using({ scope: "no:such:scope" });
      expect(await get(alice)).toEqual({ cannotTell: expect.stringContaining("see scope") as string });
    });
  });
}
