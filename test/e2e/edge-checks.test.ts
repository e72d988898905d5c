// F4: requests of nobody, as many as come at once, leave room for the Checks of others. Real Envoy; a service that keeps
// every Check stands behind it, so that no speed of a machine decides how many are under way.
import { mkdtempSync, rmSync } from "node:fs";
import { connect as connectHttp2, type ClientHttp2Session } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { createGrpcServer } from "../../src/envoy/grpc/server.ts";
import type { GrpcServer } from "../../src/envoy/grpc/grpc-server.ts";
import { freePort } from "../../demo/ports.ts";
import { startEnvoyAlone, type EnvoyAlone } from "./envoy-alone.ts";

/** As in edge-memory.test.ts. */
const CONNECTIONS = 40;
const STREAMS = 32;
/** Long enough for every request to come; no Check ends before the test does. */
const CHECK_MS = 50_000;
const PATIENCE = { timeout: 30_000, interval: 50 };

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-checks-"));
const sessions: ClientHttp2Session[] = [];
let service: GrpcServer;
let envoy: EnvoyAlone;
/** What came to be checked, and is never answered. */
const kept: Buffer[] = [];

beforeAll(async () => {
  const port = await freePort();
  service = createGrpcServer({
    address: { kind: "tcp", host: "127.0.0.1", port },
    tls: null,
    unknownClientResponse: () => Buffer.alloc(0),
    checkTimeoutMs: CHECK_MS,
    handler: (bytes) => {
      kept.push(bytes);
      return new Promise(() => {});
    },
  });
  await service.listen();
  envoy = await startEnvoyAlone(folder, { authz: port, config: { checkTimeoutMs: CHECK_MS } });
});
afterAll(async () => {
  for (const session of sessions) session.destroy();
  await envoy.child.stop();
  await service.drain(0);
  rmSync(folder, { recursive: true, force: true });
});

function connection(): ClientHttp2Session {
  const session = connectHttp2(`http://127.0.0.1:${envoy.port}`);
  session.on("error", () => {});
  sessions.push(session);
  return session;
}

/** Statuses of what Envoy answered by itself: nobody else answers. */
const refused: unknown[] = [];

function ask(session: ClientHttp2Session, headers: Record<string, string>): void {
  const stream = session.request({
    ":method": "POST",
    ":path": "/mcp",
    "content-type": "application/json",
    ...headers,
  });
  stream.on("error", (error: Error) => refused.push(error.message));
  stream.on("response", (answer) => refused.push(answer[":status"]));
  stream.resume();
  stream.end("{}");
}

it("F4: 40 connections of 32 requests without a token are all under way, and another caller's is asked for, too", async () => {
  await vi.waitFor(async () => {
    const stats = await (await fetch(`${envoy.ops}/stats/prometheus`)).text();
    expect(stats).toMatch(/membership_healthy\{envoy_cluster_name="mcp_authz"\} 1/); // Envoy asks nobody before
  }, PATIENCE);
  for (let i = 0; i < CONNECTIONS; i += 1) {
    const session = connection();
    for (let k = 0; k < STREAMS; k += 1) ask(session, {});
  }
  const came = CONNECTIONS * STREAMS;
  await vi.waitFor(() => expect(kept.length + refused.length).toBe(came), PATIENCE);
  ask(connection(), { authorization: "Bearer of-another-caller" });
  await vi.waitFor(() => expect(kept.length + refused.length).toBe(came + 1), PATIENCE);
  expect(refused).toEqual([]);
  expect(kept.at(-1)?.includes("of-another-caller")).toBe(true);
});
