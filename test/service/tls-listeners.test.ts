// Every listener of serve and broker over TLS, as their processes set them up: one floor for all.
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:tls";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { startBroker, type RunningBroker } from "../../src/app/broker/broker.ts";
import { startServe, type Serve } from "../../src/app/serve/serve.ts";
import { findOpa } from "../../src/policy/opa.ts";
import { loadConfig } from "../../src/config/load.ts";
import { createLog } from "../../src/ops/log.ts";
import { freePorts, type Ports } from "../../demo/ports.ts";
import { makeCa, makeLeaf, type Pair } from "../fakes/certificates.ts";
import { firstHandover } from "../fakes/handover.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-tls-"));
const LISTENERS = ["authz", "ops", "broker", "brokerOps"] as const;
let ca: Pair;
let ports: Ports;
let serve: Serve;
let broker: RunningBroker;

beforeAll(async () => {
  ca = makeCa(folder, "ca");
  makeLeaf(folder, { name: "own", san: "IP:127.0.0.1", ca });
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  writeFileSync(join(folder, "w.pem"), privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  ports = await freePorts();
  const each = <T>(value: (name: (typeof LISTENERS)[number]) => T) =>
    Object.fromEntries(LISTENERS.map((name) => [name, value(name)]));
  const file = join(folder, "mcp-authz.yaml");
  const text = stringify({
    publicOrigin: "https://gw.example.com",
    listen: each((name) => `127.0.0.1:${ports[name]}`),
    tls: each(() => ({ certFile: "own.pem", keyFile: "own.key" })),
    drainMs: 10,
    audit: { file: "audit.jsonl" },
    identity: { issuers: [{ issuer: "https://127.0.0.1:1", audiences: ["a"], algorithms: ["ES256"] }] },
    policy: { path: resolve(import.meta.dirname, "../../policies/demo") },
    wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k1", file: "w.pem" }] },
    servers: { demo: { url: "http://127.0.0.1:1/mcp", callRouting: "direct", credential: [{ none: {} }] } },
  });
  writeFileSync(file, text);
  const { config } = loadConfig(file, {});
  const log = createLog(() => {}, "error", Date.now);
  const options = { config, reread: () => config, log, findOpa, handover: firstHandover(), tell: () => {} };
  serve = await startServe(options);
  broker = await startBroker(config, log);
});
afterAll(async () => {
  await broker.stop();
  await serve.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** The version of a handshake with the listener, or the code with which it ended. */
function handshake(port: number, maxVersion: "TLSv1.2" | "TLSv1.3"): Promise<string> {
  return new Promise((done) => {
    const socket = connect({ port, host: "127.0.0.1", ca: ca.cert, minVersion: "TLSv1.2", maxVersion });
    socket.on("secureConnect", () => {
      done(socket.getProtocol() ?? "");
      socket.destroy();
    });
    socket.on("error", (error: NodeJS.ErrnoException) => done(error.code ?? ""));
  });
}

describe.each(LISTENERS)("the listener %s", (name) => {
  it("speaks TLS 1.3 and nothing older", async () => {
    expect(await handshake(ports[name], "TLSv1.3")).toBe("TLSv1.3");
    expect(await handshake(ports[name], "TLSv1.2")).toBe("ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION");
  });

  it("does so after its certificates were read again", async () => {
    await (name === "authz" || name === "ops" ? serve : broker).reload();
    expect(await handshake(ports[name], "TLSv1.2")).toBe("ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION");
    expect(await handshake(ports[name], "TLSv1.3")).toBe("TLSv1.3");
  });
});
