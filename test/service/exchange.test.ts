// The contract of token exchange, against the fake and against the provider of the demo.
import { BY_TOKEN } from "../fakes/identity.ts";
import { expect, it } from "vitest";
import type { TokenIdentity } from "../../src/authz/types.ts";
import { actorsOf } from "../../src/jose/act-claim.ts";
import type { JsonObject } from "../../src/json/types.ts";
import { Secret } from "../../src/secret/secret.ts";
import { claimsOf, exchangeContract, foundToken, sourceOf, type ExchangeWorld } from "../contract/exchange.ts";
import { AUDIENCE, callerOf, CLIENT, SCOPE, startTokenEndpoint } from "../fakes/token-endpoint.ts";
import { EXCHANGE_CLIENT } from "../../demo/idp-exchange.ts";
import { startIdp, type Idp } from "../../demo/idp.ts";

exchangeContract("the fake", async () => {
  const fake = await startTokenEndpoint();
  return {
    tokenEndpoint: fake.url,
    profile: "rfc8693",
    client: CLIENT,
    audience: AUDIENCE,
    scope: SCOPE,
    unknownAudience: "refused",
    actor: CLIENT.id,
    caller: (person) => Promise.resolve(callerOf(person)),
    close: fake.close,
  };
});

async function demoProvider(ignoresActors: boolean): Promise<ExchangeWorld & { readonly idp: Idp }> {
  const secret = "secret of the gateway: 50% & more";
  const audiences = { [AUDIENCE]: ["alice"] };
  const gateway = "https://gw.example.com";
  const idp = await startIdp({ port: 0, gateway, ttlSeconds: 300, exchange: { secret, audiences, ignoresActors } });
  return {
    idp,
    tokenEndpoint: idp.tokenEndpoint,
    profile: "rfc8693",
    client: { id: EXCHANGE_CLIENT, secret },
    audience: AUDIENCE,
    scope: "mcp:read mcp:write",
    unknownAudience: "refused",
    actor: ignoresActors ? null : EXCHANGE_CLIENT,
    caller: async (person) => callerWith(idp, await idp.mint(person)),
    close: idp.close,
  };
}

function callerWith(idp: Idp, token: string): TokenIdentity {
  const claims = claimsOf(token) as JsonObject & { exp: number; sub: string };
  const { exp: expiresAt, sub: subject } = claims;
  return {
    ...callerOf(subject),
    issuer: idp.issuer,
    subject,
    ...BY_TOKEN,
    actors: actorsOf(claims),
    claims,
    expiresAt,
    token: new Secret(token),
  };
}

exchangeContract("the demo's provider", () => demoProvider(false));
exchangeContract("a provider that ignores actors", () => demoProvider(true));

it("P2.3-6: an IdP that ignores the actor is named in the detail; without delegation it serves", async () => {
  const world = await demoProvider(true);
  const alice = await world.caller("alice");
  const [delegating, plain] = [sourceOf(world, {}, true), sourceOf(world)];
  expect(await delegating.get(alice)).toEqual({ cannotTell: expect.stringContaining("the IdP ignored the actor") });
  expect(await plain.get(alice)).toHaveProperty("found");
  delegating.close();
  plain.close();
  await world.close();
});

it("H05: an agent that acts for alice stays behind the gateway in the chain, and alice stays the subject", async () => {
  const world = await demoProvider(false);
  const { idp } = world;
  const source = sourceOf(world, {}, true);
  const extra = { act: { sub: "agent" }, may_act: { sub: EXCHANGE_CLIENT } };
  const answer = await source.get(callerWith(idp, await idp.mint("alice", { extra })));
  expect(claimsOf(foundToken(answer))).toMatchObject({ sub: "alice", act: { sub: EXCHANGE_CLIENT } });
  expect(answer).toMatchObject({ found: { origin: { actors: [EXCHANGE_CLIENT, "agent"] } } });
  const before = idp.exchanges.length;
  const others = await idp.mint("alice", { extra: { may_act: { sub: "agent" } } });
  expect(await source.get(callerWith(idp, others))).toEqual({ refused: expect.stringContaining("may_act") });
  expect(idp.exchanges).toHaveLength(before);
  source.close();
  await world.close();
});
