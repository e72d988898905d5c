// SIGHUP on the real processes: new certificates count for new connections, those that are open go on, and a broken file
// changes nothing.
import { spawn, type ChildProcess } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { TLSSocket } from "node:tls";
import { Client, credentials } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { stringify } from "yaml";
import { makeCa, makeLeaf, type Pair } from "../fakes/certificates.ts";
import { makeKey, startIssuer, type FakeIssuer } from "../fakes/issuer.ts";
import { freePorts, type Ports } from "../../demo/ports.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "mcp-authz-sighup-"));
const LIVE = { certFile: "live.pem", keyFile: "live.key", clientCaFile: "live-ca.pem", clientSans: ["client.mesh"] };
const children: ChildProcess[] = [];
let log = "";
let ports: Ports;
let issuer: FakeIssuer;
let before: World;
let after: World;

/** What both sides need while one authority is in force. */
interface World {
  readonly ca: Pair;
  readonly server: Pair;
  readonly client: Pair;
}

function world(name: string): World {
  const ca = makeCa(folder, `${name}-ca`);
  const server = makeLeaf(folder, { name: `${name}-server`, san: "IP:127.0.0.1", ca });
  return { ca, server, client: makeLeaf(folder, { name: `${name}-client`, san: "DNS:client.mesh", ca }) };
}

function install({ ca, server }: World): void {
  copyFileSync(server.certFile, join(folder, LIVE.certFile));
  copyFileSync(server.keyFile, join(folder, LIVE.keyFile));
  copyFileSync(ca.certFile, join(folder, LIVE.clientCaFile));
}

beforeAll(async () => {
  before = world("before");
  after = world("after");
  install(before);
  ports = await freePorts();
  issuer = await startIssuer(makeKey("k1"));
  const pem = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" });
  writeFileSync(join(folder, "w.pem"), pem, { mode: 0o600 });
  const local = (port: number) => `127.0.0.1:${port}`;
  const config = {
    publicOrigin: "http://127.0.0.1:8080",
    listen: {
      authz: local(ports.authz),
      ops: local(ports.ops),
      broker: local(ports.broker),
      brokerOps: local(ports.brokerOps),
    },
    tls: { authz: LIVE, ops: LIVE, broker: LIVE, brokerOps: LIVE },
    audit: { file: "audit.jsonl" },
    identity: { issuers: [{ issuer: issuer.issuer, audiences: ["gateway"], algorithms: ["ES256"] }] },
    policy: { path: join(ROOT, "policies/demo") },
    watchFiles: false,
    wristband: { issuer: "http://127.0.0.1:8080", keys: [{ kid: "w", file: "w.pem" }] },
    servers: { demo: { url: "http://127.0.0.1:1/mcp", credential: [{ none: {} }] } },
  };
  writeFileSync(join(folder, "mcp-authz.yaml"), stringify(config));
  for (const name of ["serve", "broker"]) {
    const args = [join(ROOT, "src/cli/mcp-authz.ts"), name, "--config", join(folder, "mcp-authz.yaml")];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] });
    child.stderr.on("data", (data: Buffer) => (log += data.toString()));
    children.push(child);
  }
  await vi.waitFor(() => expect(events("listening")).toHaveLength(2), { timeout: 20_000, interval: 100 });
}, 40_000);

afterAll(async () => {
  for (const child of children) child.kill("SIGKILL");
  await issuer.close();
  rmSync(folder, { recursive: true, force: true });
});

function events(name: string): Record<string, unknown>[] {
  const lines = log.split("\n").filter((line) => line.startsWith("{"));
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>).filter(({ event }) => event === name);
}

async function sighup(): Promise<void> {
  const count = events("reloaded").length;
  for (const child of children) child.kill("SIGHUP");
  await vi.waitFor(() => expect(events("reloaded")).toHaveLength(count + 2), { timeout: 10_000, interval: 50 });
}

/** A client of one world, that keeps its connection; says whose certificate it was shown, or what failed. */
function httpsClient(port: number, { ca, client }: World) {
  const agent = new Agent({ ca: ca.cert, key: client.key, cert: client.cert, keepAlive: true, maxSockets: 1 });
  let seen = "";
  return () =>
    new Promise<string>((done) => {
      const request = httpsRequest({ host: "127.0.0.1", port, path: "/healthz", agent }, (response) => {
        response.resume();
        response.on("end", () => done(`${response.statusCode} ${seen}`));
      });
      request.on("socket", (socket: TLSSocket) => {
        socket.once("secureConnect", () => (seen = String(socket.getPeerCertificate().subject.CN)));
      });
      request.on("error", (error: NodeJS.ErrnoException) => done(`failed ${error.code ?? ""}`));
      request.end();
    });
}

function grpcClient({ ca, client }: World) {
  const channel = new Client(`127.0.0.1:${ports.authz}`, credentials.createSsl(ca.cert, client.key, client.cert), {
    "grpc.use_local_subchannel_pool": 1,
  });
  const identity = (bytes: Buffer) => bytes;
  const call = () =>
    new Promise<string>((done) => {
      const options = { deadline: Date.now() + 5000 };
      channel.makeUnaryRequest("/grpc.health.v1.Health/Check", identity, identity, Buffer.alloc(0), options, (error) =>
        done(error === null ? "ok" : `failed ${error.code}`),
      );
    });
  return { call, close: () => channel.close() };
}

/** The listeners of both processes, with the HTTP status that "/healthz" has there. */
const LISTENERS = [
  ["ops", 200],
  ["broker", 404],
  ["brokerOps", 200],
] as const;

describe("TLS files", () => {
  it("new ones count for new connections, and connections that are open go on", async () => {
    const grpc = grpcClient(before);
    const open = LISTENERS.map(([name]) => httpsClient(ports[name], before));
    const expected = LISTENERS.map(([, status]) => `${status} before-server`);
    expect(await Promise.all(open.map((ask) => ask()))).toEqual(expected);
    expect(await grpc.call()).toBe("ok");

    install(after);
    await sighup();
    expect(
      events("reloaded")
        .map(({ what }) => String(what))
        .toSorted((a, b) => (a < b ? -1 : 1)),
    ).toEqual([
      "tls.broker, tls.brokerOps, servers",
      "wristband keys, tls.authz, tls.ops, audit file, revocations, quarantine, issuers and servers",
    ]);
    expect(await Promise.all(open.map((ask) => ask()))).toEqual(expected);
    expect(await grpc.call()).toBe("ok");
    grpc.close();

    const renewed = await Promise.all(LISTENERS.map(([name]) => httpsClient(ports[name], after)()));
    expect(renewed).toEqual(LISTENERS.map(([, status]) => `${status} after-server`));
    const next = grpcClient(after);
    expect(await next.call()).toBe("ok");
    next.close();
  });

  it("the old authority's clients are strangers then", async () => {
    const mixed: World = { ...after, client: before.client };
    for (const [name] of LISTENERS) expect(await httpsClient(ports[name], mixed)()).toMatch(/^failed/);
    const grpc = grpcClient(mixed);
    expect(await grpc.call()).toBe("failed 14");
    grpc.close();
  });

  it.each<[string, () => void, RegExp]>([
    ["a file that is gone", () => rmSync(join(folder, LIVE.keyFile)), /^tls\.(\w+)\.keyFile: .*cannot be read/],
    [
      "another's key",
      () => copyFileSync(before.server.keyFile, join(folder, LIVE.keyFile)),
      /^tls\.(\w+)\.keyFile: .*is not the key of/,
    ],
    [
      "garbage for the CA",
      () => {
        install(before);
        writeFileSync(join(folder, LIVE.clientCaFile), "garbage");
      },
      /^tls\.(\w+)\.clientCaFile: .*holds no certificate/,
    ],
  ])("%s: what was there stays, and the log names the key", async (_, spoil, message) => {
    install(after);
    spoil();
    const count = events("reload_failed").length;
    await sighup();
    const failures = events("reload_failed").slice(count);
    expect(failures.map(({ what }) => String(what)).toSorted((a, b) => (a < b ? -1 : 1))).toEqual(
      ["authz", "broker", "brokerOps", "ops"].map((l) => `tls.${l}`),
    );
    for (const { message: text, what } of failures) expect(`tls.${message.exec(String(text))?.[1] ?? ""}`).toBe(what);
    for (const [name, status] of LISTENERS)
      expect(await httpsClient(ports[name], after)()).toBe(`${status} after-server`);
    const grpc = grpcClient(after);
    expect(await grpc.call()).toBe("ok");
    grpc.close();
  });
});
