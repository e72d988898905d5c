// The one-shot of docker-compose.yml that runs first: makes the keys and secrets of this installation, each with its own
// volume, so that a container can mount exactly what it needs. What is there already stays.
import { generateKeyPairSync, randomBytes, randomUUID } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { known } from "../server-gate.ts";
import { ALICE_PAT, BUDGET_CREDENTIAL, DISCOVERY_CREDENTIAL, EVERYTHING_CREDENTIAL } from "../world.ts";
import { setting } from "./settings.ts";

const folder = setting("STATE_FOLDER");

function once(path: string, make: () => string | Buffer): void {
  const file = join(folder, path);
  if (existsSync(file)) return;
  writeFileSync(file, make(), { mode: 0o600, flag: "wx" });
  console.log(`made ${path}`);
}

const secret = () => randomBytes(32).toString("base64url");
const signingKey = () => generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;

// For serve alone.
once("keys/wristband.pem", () => signingKey().export({ type: "pkcs8", format: "pem" }));
// For serve and the broker: what the configuration names as {file: …}.
once("secrets/budget", () => BUDGET_CREDENTIAL);
once("secrets/discovery", () => DISCOVERY_CREDENTIAL);
once("secrets/everything", () => EVERYTHING_CREDENTIAL);
once("secrets/exchange", secret);
once("secrets/session", () => randomBytes(32));
once("secrets/vault-role-id", randomUUID);
once("secrets/vault-secret-id", secret);
// For OpenBao alone: it unseals itself with this.
once("unseal/key", () => randomBytes(32));
// The provider writes it, serve reads it: without the file every token would be refused.
once("revocations/revoked.jsonl", () => "");
// For the provider alone: with its key tokens outlive a restart; by the secret it knows the gateway.
once("idp/key.json", () => JSON.stringify(signingKey().export({ format: "jwk" })));
once("idp/exchange", () => readFileSync(join(folder, "secrets/exchange")));

// For the servers alone: whom each of them serves. No secret is in it.
function serves(server: string, credentials: readonly string[], audience?: string): void {
  const { d: _, ...key } = JSON.parse(readFileSync(join(folder, "idp/key.json"), "utf8")) as JsonWebKey;
  const tokens =
    audience === undefined ? {} : { tokens: { audience, keys: { keys: [{ ...key, kid: "demo-1", alg: "ES256" }] } } };
  writeFileSync(join(folder, `known/${server}.json`), JSON.stringify({ sha256: known(...credentials), ...tokens }));
}
serves("demo", [ALICE_PAT, DISCOVERY_CREDENTIAL], "http://demo:9100/mcp");
serves("tickets", [ALICE_PAT, DISCOVERY_CREDENTIAL], "http://tickets:9100/mcp");
serves("everything", [EVERYTHING_CREDENTIAL]);
serves("budget", [BUDGET_CREDENTIAL]);
