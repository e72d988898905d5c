import { hash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { calculateJwkThumbprint } from "jose";
import { afterAll, expect, it } from "vitest";
import { stringify } from "yaml";
import { compact, makeKey, startIssuer } from "../../../test/fakes/issuer.ts";
import { loadConfig } from "../../config/load.ts";
import { createLiveIdentity } from "./live-identity.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-live-identity-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const ENDPOINT = "https://gw.example.com/servers/s/mcp";

it("F88: a proof that was used counts no more after a change of issuers", async () => {
  const [signing, client] = [makeKey("k1"), makeKey("client")];
  const issuer = await startIssuer(signing);
  const configOf = (more: object) => {
    const file = join(folder, "mcp-authz.yaml");
    const one = { issuer: issuer.issuer, audiences: ["gateway"], algorithms: ["ES256"], dpop: "accepted", ...more };
    const text = stringify({
      publicOrigin: "https://gw.example.com",
      identity: { issuers: [one] },
      policy: { path: "policies" },
      wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k1", file: "w.pem" }] },
      servers: { s: { url: "http://127.0.0.1:1/mcp", credential: [{ none: {} }] } },
    });
    writeFileSync(file, text);
    return loadConfig(file, {}).config;
  };
  const silent = { debug: () => {}, warn: () => {} };
  const options = { config: configOf({}), log: silent, handover: { documents: {} }, tell: () => {} };
  const metrics = { cache: () => {}, keyFetch: () => {} };
  const identity = createLiveIdentity(options as never, metrics as never, { revoked: () => null } as never);
  await identity.start();
  const now = Math.floor(Date.now() / 1000);
  const { kid: _, alg: __, use: ___, ...jwk } = client.jwk;
  const cnf = { jkt: await calculateJwkThumbprint(jwk) };
  const claims = { iss: issuer.issuer, aud: "gateway", sub: "alice", iat: now, exp: now + 600, cnf };
  const token = compact(signing, { alg: "ES256", typ: "at+jwt", kid: "k1" }, claims);
  const ath = hash("sha256", token, "base64url");
  const payload = { jti: "j1", htm: "POST", htu: ENDPOINT, iat: now + 5, ath };
  const proof = compact(client, { typ: "dpop+jwt", alg: "ES256", jwk }, payload);
  const ask = async () => {
    const use = { resources: [ENDPOINT], source: "192.0.2.1", proof: { proof, method: "POST", url: ENDPOINT } };
    const step = await identity.identify(token, use as never, AbortSignal.timeout(5000));
    return step.ok ? "ok" : step.reason;
  };
  const before = await ask();
  const prepared = await identity.prepare(configOf({ audiences: ["gateway", "other"] }));
  await prepared?.putInForce();
  const after = await ask();
  identity.close();
  await issuer.close();
  expect([before, prepared === null, after]).toEqual(["ok", false, "proof_invalid"]);
});
