// The contract of token exchange, against the fake and against the provider of the demo.
import { Secret } from "../../src/authz/secret.ts";
import { exchangeContract, claimsOf } from "../contract/exchange.ts";
import { AUDIENCE, callerOf, CLIENT, SCOPE, startTokenEndpoint } from "../fakes/token-endpoint.ts";
import { EXCHANGE_CLIENT } from "../lab/idp-exchange.ts";
import { startIdp } from "../lab/idp.ts";

exchangeContract("the fake", async () => {
  const fake = await startTokenEndpoint();
  return {
    tokenEndpoint: fake.url,
    profile: "rfc8693",
    client: CLIENT,
    audience: AUDIENCE,
    scope: SCOPE,
    unknownAudience: "refused",
    caller: (person) => Promise.resolve(callerOf(person)),
    close: fake.close,
  };
});

exchangeContract("the demo's provider", async () => {
  const secret = "secret of the gateway: 50% & more";
  const audiences = { [AUDIENCE]: ["alice"] };
  const gateway = "https://gw.example.com";
  const idp = await startIdp({ port: 0, gateway, ttlSeconds: 300, exchange: { secret, audiences } });
  return {
    tokenEndpoint: idp.tokenEndpoint,
    profile: "rfc8693",
    client: { id: EXCHANGE_CLIENT, secret },
    audience: AUDIENCE,
    scope: "mcp:read mcp:write",
    unknownAudience: "refused",
    async caller(person) {
      const token = await idp.mint(person);
      const { exp } = claimsOf(token) as { exp: number };
      const { issuer } = idp;
      return { ...callerOf(person), issuer, subject: person, expiresAt: exp, token: new Secret(token) };
    },
    close: idp.close,
  };
});
