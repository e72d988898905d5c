// F8: connections that say nothing, and handshakes that never end, keep nobody out for long, and probes not at all.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { get } from "node:http";
import { get as getTls } from "node:https";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import type { Child } from "../../demo/child.ts";
import { freePort } from "../../demo/ports.ts";
import { startEnvoyAlone, type EnvoyAlone } from "./envoy-alone.ts";

/** Envoy has no limit per source: so many from one source are all. */
const MAX_CONNECTIONS = 100;
/** A connection may say nothing for 10 s. */
const PATIENCE_MS = 30_000;

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-connections-"));
const open: Socket[] = [];
let running: Child[] = [];

beforeAll(() => {
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=gw", "-days", "2"];
  execFileSync("openssl", ["req", "-x509", ...key, "-keyout", "key.pem", "-out", "cert.pem"], {
    cwd: folder,
    stdio: "ignore",
  });
});
afterEach(async () => {
  for (const socket of open.splice(0)) socket.destroy();
  for (const child of running) await child.stop();
  running = [];
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function startEnvoy(overTls: boolean): Promise<EnvoyAlone> {
  const tls = { tls: { listen: { certFile: "cert.pem", keyFile: "key.pem" } } };
  const envoy = { maxConnections: MAX_CONNECTIONS, ...(overTls && tls) };
  const alone = await startEnvoyAlone(folder, { authz: await freePort(), envoy });
  running.push(alone.child);
  return alone;
}

/** Connections that send these bytes and nothing more. */
async function occupy(port: number, count: number, bytes: string): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    const socket = connect(port, "127.0.0.1", () => bytes !== "" && socket.write(bytes, "latin1"));
    socket.on("error", () => {}).resume();
    open.push(socket);
  }
  await delay(1000);
}

/** The status of a request on a connection of its own; 0 when there is no answer. */
function ask(url: string): Promise<number> {
  return new Promise((done) => {
    const options = { agent: false, rejectUnauthorized: false, timeout: 2000 };
    const request = (url.startsWith("https:") ? getTls : get)(url, options, (response) => {
      response.resume();
      done(response.statusCode ?? 0);
    });
    request.on("timeout", () => request.destroy()).on("error", () => done(0));
  });
}

async function untilAnswered(url: string): Promise<number> {
  const end = Date.now() + PATIENCE_MS;
  while (Date.now() < end) {
    const status = await ask(url);
    if (status !== 0) return status;
    await delay(500);
  }
  return 0;
}

/** A record of type handshake that announces 512 bytes, of which the first are there. */
const HALF_A_HELLO = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

/** What a client says first, and after which it waits for the server. */
function clientHello(): string {
  const said: Buffer[] = [];
  const wire = new Duplex({
    read() {},
    write(chunk: Buffer, _, done) {
      said.push(chunk);
      done();
    },
  });
  const client = connectTls({ socket: wire, servername: "gw" });
  client.on("error", () => {});
  client.destroy();
  return Buffer.concat(said).toString("latin1");
}

it.each<[string, boolean, string]>([
  ["say nothing", false, ""],
  ["begin a request and no more", false, "POST /mcp HT"],
  ["begin headers that never end", false, "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n"],
  ["say nothing where TLS is spoken", true, ""],
  ["begin a handshake and no more", true, HALF_A_HELLO],
  ["never end a handshake", true, clientHello()],
])(
  "F8: all connections are taken by some that %s: probes are answered at once, clients soon",
  async (_, overTls, bytes) => {
    const { port, ops } = await startEnvoy(overTls);
    const url = `${overTls ? "https" : "http"}://127.0.0.1:${port}/mcp`;
    await occupy(port, 2 * MAX_CONNECTIONS, bytes);
    expect(await ask(url)).toBe(0);
    expect(await ask(`${ops}/ready`)).toBe(200);
    expect(await ask(`${ops}/stats/prometheus`)).toBe(200);
    expect(await untilAnswered(url)).toBe(503);
  },
);

it("F8: the ops listener has a limit of its own", async () => {
  const { ops } = await startEnvoy(false);
  await occupy(Number(new URL(ops).port), 100, "");
  expect(open.filter((socket) => socket.destroyed || socket.readyState !== "open").length).toBeGreaterThanOrEqual(36);
});
