// Every outgoing connection of ours, to a real TLS server with a private CA: refused without `caFile`, made with it.
import { findOpa } from "../../src/policy/opa.ts";
import { execFile } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { freePorts } from "../../demo/ports.ts";
import { startBroker } from "../../src/app/broker/broker.ts";
import { startServe } from "../../src/app/serve/serve.ts";
import { destinations } from "../../src/config/destinations.ts";
import { loadConfig, type Config } from "../../src/config/load.ts";
import { fetchRunningPolicy } from "../../src/explain/live-policy.ts";
import { createLog } from "../../src/ops/log.ts";
import { makeCa, makeLeaf } from "../fakes/certificates.ts";
import { firstHandover } from "../fakes/handover.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "mcp-authz-outgoing-"));
const seen = new Set<string>();
let server: Server;
let port: number;

beforeAll(async () => {
  const { cert, key } = makeLeaf(folder, { name: "peer", san: "IP:127.0.0.1", ca: makeCa(folder, "ca") });
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  writeFileSync(join(folder, "w.pem"), privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  writeFileSync(join(folder, "secret"), "s3cret\n", { mode: 0o600 });
  server = createServer({ cert, key }, (request, response) => {
    seen.add(request.url ?? "");
    const isMetadata = request.url === "/.well-known/openid-configuration";
    const metadata = { issuer: `https://127.0.0.1:${port}`, jwks_uri: `https://127.0.0.1:${port}/found-jwks` };
    const status = { policy: { revision: "r1", stale: null } };
    const body = isMetadata ? metadata : status;
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  port = (server.address() as { port: number }).port;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

const AWAY = "https://127.0.0.1:1";
const tls = { certFile: "peer.pem", keyFile: "peer.key" };

/** A configuration in which nothing of ours is reached but what `more` names. */
async function configured(more: object): Promise<Config> {
  const ports = await freePorts();
  const file = join(folder, "mcp-authz.yaml");
  const names = ["authz", "ops", "broker", "brokerOps"] as const;
  const text = stringify({
    publicOrigin: "https://gw.example.com",
    listen: Object.fromEntries(names.map((name) => [name, `127.0.0.1:${ports[name]}`])),
    drainMs: 10,
    audit: { file: "audit.jsonl" },
    identity: { issuers: [issuer({ issuer: AWAY })] },
    policy: { path: join(ROOT, "policies/demo") },
    wristband: wristband({ jwksUrl: `${AWAY}/jwks` }),
    catalog: { url: `${AWAY}/catalog` },
    servers: { s: { url: `${AWAY}/mcp`, credential: [{ none: {} }] } },
    ...more,
  });
  writeFileSync(file, text);
  return loadConfig(file, {}).config;
}

const issuer = (more: object) => ({ audiences: ["a"], algorithms: ["ES256"], ...more });
const wristband = (more: object) => ({
  issuer: "https://gw.example.com",
  keys: [{ kid: "k1", file: "w.pem" }],
  ...more,
});

const log = createLog(() => {}, "error", Date.now);

async function serve(config: Config): Promise<void> {
  const options = { config, reread: () => config, log, findOpa, handover: firstHandover(), tell: () => {} };
  await (await startServe(options)).stop();
}

async function broker(config: Config): Promise<void> {
  await (await startBroker(config, log)).stop();
}

/** A key of a CA, the path that is asked for, and who asks. */
type Row = [key: string, path: string, run: (config: Config) => Promise<unknown>, more: (ca: object) => object];

const at = (path: string) => `https://127.0.0.1:${port}${path}`;
const listening = (name: string) => ({ listen: { [name]: `127.0.0.1:${port}` }, tls: { [name]: tls } });
const exchange = (ca: object) => ({
  exchange: {
    ...{ tokenEndpoint: at("/token"), mode: "delegation", audience: "a", scope: "read", ...ca },
    client: { id: "gw", secret: { file: "secret" } },
  },
});
const vault = (ca: object) => ({
  vault: { address: at(""), auth: { approle: { roleId: { file: "secret" }, secretId: { file: "secret" } } }, ...ca },
  servers: { s: { url: `${AWAY}/mcp`, credential: [{ vault: { mount: "m", path: "{subject}" } }] } },
});

const ROWS: Row[] = [
  [
    "identity.issuers[0].caFile",
    "/.well-known/openid-configuration",
    serve,
    (ca) => ({ identity: { issuers: [issuer({ issuer: at(""), ...ca })] } }),
  ],
  [
    "identity.issuers[0].caFile",
    "/found-jwks",
    serve,
    (ca) => ({ identity: { issuers: [issuer({ issuer: at(""), ...ca })] } }),
  ],
  [
    "identity.issuers[0].caFile",
    "/named-jwks",
    serve,
    (ca) => ({ identity: { issuers: [issuer({ issuer: AWAY, jwksUri: at("/named-jwks"), ...ca })] } }),
  ],
  ["vault.caFile", "/v1/auth/approle/login", serve, vault],
  [
    "servers.s.credential[0].exchange.caFile",
    "/token",
    serve,
    (ca) => ({ servers: { s: { url: `${AWAY}/mcp`, credential: [exchange(ca)] } } }),
  ],
  ["catalog.caFile", "/the-catalog", serve, (ca) => ({ catalog: { url: at("/the-catalog"), ...ca } })],
  ["catalog.caFile", "/catalog", serve, (ca) => ({ ...listening("brokerOps"), catalog: ca })],
  [
    "servers.s.caFile",
    "/mcp",
    broker,
    (ca) => ({ servers: { s: { url: at("/mcp"), credential: [{ none: {} }], ...ca } } }),
  ],
  ["wristband.caFile", "/jwks", broker, (ca) => ({ wristband: wristband({ jwksUrl: at("/jwks"), ...ca }) })],
  ["wristband.caFile", "/.well-known/jwks.json", broker, (ca) => ({ ...listening("ops"), wristband: wristband(ca) })],
  ["wristband.caFile", "/readyz", fetchRunningPolicy, (ca) => ({ ...listening("ops"), wristband: wristband(ca) })],
];

describe.each(ROWS)("%s to %s", (_, path, run, more) => {
  it.each([
    ["without it is refused", {}, false],
    ["with it is made", { caFile: "ca.pem" }, true],
  ])("%s", async (_case, ca, expected) => {
    seen.clear();
    await run(await configured(more(ca)));
    expect(seen.has(path)).toBe(expected);
  });
});

it("the table has a row for each destination of a configuration", async () => {
  const all = await configured({ ...vault({}), servers: { s: { url: AWAY, credential: [exchange({})] } } });
  expect(new Set(ROWS.map(([key]) => key))).toEqual(new Set(destinations(all).map(({ caKey }) => caKey)));
});

describe("healthcheck", () => {
  const run = (...args: string[]) =>
    new Promise((done) => {
      const command = [join(ROOT, "src/cli/mcp-authz.ts"), "healthcheck", "--url", at("/readyz"), ...args];
      execFile(process.execPath, command, (error) => done(error === null ? 0 : error.code));
    });

  it("of an https URL needs the CA", async () => {
    expect([await run(), await run("--ca-file", join(folder, "ca.pem"))]).toEqual([1, 0]);
  });
});
