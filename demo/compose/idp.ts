// The OIDC provider as a container. Tokens without a login, for lines to copy and for tests, are minted on a port that
// only the container itself can reach: `docker compose exec idp token alice`.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import type { JWK } from "jose";
import { startIdp } from "../idp.ts";
import { announceWhenUp } from "./announce.ts";
import { endOnSignal, gatewayOrigin, issuerOrigin, PEOPLE, PORTS, setting } from "./settings.ts";

const TOKEN_HOURS = 8;
/** Servers of docker-compose.yml for which a token may be exchanged, and whose. */
const AUDIENCES = { "http://demo:9100/mcp": ["alice"], "http://tickets:9100/mcp": ["alice"] };

const state = (file: string) => readFileSync(join(setting("STATE_FOLDER"), "idp", file), "utf8");
const key = JSON.parse(state("key.json")) as JWK;
const idp = await startIdp({
  port: PORTS.idp,
  gateway: gatewayOrigin(),
  ttlSeconds: TOKEN_HOURS * 3600,
  exchange: { secret: state("exchange"), audiences: AUDIENCES },
  published: { listen: "0.0.0.0", issuer: issuerOrigin(), key },
});
const mint = createServer((request, response) => {
  const url = new URL(request.url ?? "/", "http://localhost");
  const person = url.pathname.slice(1);
  if (!PEOPLE.includes(person)) {
    response.writeHead(404).end(`nobody is called that; there are ${PEOPLE.join(", ")}`);
    return;
  }
  const scope = url.searchParams.get("scope");
  void idp.mint(person, scope === null ? {} : { scope }).then((token) => response.end(token));
}).listen(PORTS.mint, "127.0.0.1");
console.log(`OIDC provider: ${idp.issuer}`);
endOnSignal(async () => {
  mint.close();
  await idp.close();
});
await announceWhenUp();
