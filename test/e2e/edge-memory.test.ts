// F4: what nobody's unfinished bodies cost Envoy, and whether a caller is served meanwhile. Real Envoy, real sockets.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { fork } from "node:child_process";
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import { startLab, type Lab } from "../../demo/lab.ts";
import { freePorts, type Ports } from "../../demo/ports.ts";
import { legacy } from "./client.ts";
import type { UnfinishedHttp2 } from "./unfinished-http2.ts";

/** Of docker-compose.yml. */
const MEMORY_LIMIT_MIB = 256;
const BODY_BYTES = 256 * 1024;
const ATTACK_MS = 6000;
/** So many calls are needed for a share to say anything, however slow the machine is. */
const LEAST_CALLS = 40;
/** The attackers of HTTP/1.1 share a process with alice: on a busy machine her calls take their time. */
const PATIENCE_MS = 120_000;
const SERVED = 0.95;

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-memory-"));
let lab: Lab;
let ports: Ports;
let alice: string;
const open: { destroy(): unknown }[] = [];

beforeAll(async () => {
  ports = await freePorts();
  lab = await startLab({ folder, ports, policyFolder: null, progress: () => {} });
  alice = await lab.idp.mint("alice");
});
afterEach(() => {
  for (const one of open.splice(0)) one.destroy();
});
afterAll(async () => {
  await lab.stop();
  rmSync(folder, { recursive: true, force: true });
});

function residentMiB(): number {
  const status = readFileSync(`/proc/${lab.children.envoy.pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

/**
 * 40 connections of 32 streams, by a process of its own, which is started anew if it ends before its test does. Resolves once
 * all its connections are there.
 */
async function unfinishedHttp2(headers: Record<string, string>): Promise<void> {
  const attack: UnfinishedHttp2 = {
    gateway: lab.gateway,
    connections: 40,
    streams: 32,
    bodyBytes: BODY_BYTES,
    headers,
  };
  const child = fork(resolve(import.meta.dirname, "unfinished-http2.ts"), [JSON.stringify(attack)], { silent: true });
  const attacker = { destroy: () => void child.kill("SIGKILL") };
  open.push(attacker);
  child.on("exit", () => void (open.includes(attacker) && unfinishedHttp2(headers).catch(() => {})));
  const begun = once(child, "message");
  expect(await Promise.race([begun, delay(20_000, null, { ref: false })])).toEqual(["begun", undefined]);
}

function unfinishedHttp1(): void {
  const head = `POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer x\r\nContent-Type: application/json\r\n`;
  const socket = connect(ports.gateway, "127.0.0.1", () => {
    socket.write(`${head}Content-Length: ${BODY_BYTES}\r\n\r\n`);
    socket.write(Buffer.alloc(BODY_BYTES - 64, 32));
  });
  open.push(socket);
  socket.on("error", () => {});
  socket.on("close", () => setTimeout(() => open.includes(socket) && unfinishedHttp1(), 100));
  socket.resume();
}

interface Meanwhile {
  readonly calls: number;
  /** What each call got that was not served. */
  readonly faults: readonly string[];
  readonly largestMiB: number;
}

/** Calls of alice, one after the other, while the attack goes on. */
async function meanwhile(): Promise<Meanwhile> {
  const end = Date.now() + ATTACK_MS;
  const faults: string[] = [];
  let calls = 0;
  let largestMiB = 0;
  while (Date.now() < end || calls < LEAST_CALLS) {
    const fault = await faultOfCall();
    calls += 1;
    if (fault !== null) faults.push(`call ${calls}: ${fault}`);
    largestMiB = Math.max(largestMiB, residentMiB());
    await delay(20);
  }
  return { calls, faults, largestMiB };
}

/** Null when she was served, else status, body and what Envoy logged, or the error of the connection. */
async function faultOfCall(): Promise<string | null> {
  try {
    const params = { name: "echo", arguments: { text: "x" } };
    const { status, text, headers } = await legacy(lab.gateway, "tools/call", params, { token: alice });
    return status === 200 ? null : `${status} ${text.trim()} ${logged(headers.get("x-request-id"))}`;
  } catch (error) {
    const { message, cause } = error as Error & { cause?: { code?: string; message?: string } };
    return `${message} ${cause?.code ?? ""} ${cause?.message ?? ""}`.trim();
  }
}

/** Envoy's flags, and its reason, if it has written them by now. */
function logged(id: string | null): string {
  const lines = lab.children.envoy.output().split("\n");
  const line = id === null ? undefined : lines.find((one) => one.includes(id));
  return line === undefined ? "(no line yet)" : (/"details":"\w+","flags":"[\w,-]+"/.exec(line)?.[0] ?? line);
}

/** A machine that is busy with others lets a few calls end by their time. What a burst refuses at once is edge-checks.test.ts. */
function expectServed({ calls, faults, largestMiB }: Meanwhile): void {
  expect(largestMiB).toBeLessThan(MEMORY_LIMIT_MIB);
  expect(1 - faults.length / calls, `${faults.length} of ${calls}:\n${faults.join("\n")}`).toBeGreaterThanOrEqual(
    SERVED,
  );
}

it.each<[string, () => Promise<void>]>([
  ["HTTP/2 without a token", () => unfinishedHttp2({})],
  ["HTTP/2 with a forged token", () => unfinishedHttp2({ authorization: "Bearer x" })],
  [
    "HTTP/2 that says how long its bodies are",
    () => unfinishedHttp2({ authorization: "Bearer x", "content-length": String(BODY_BYTES) }),
  ],
])(
  "F4: 40 connections of 32 streams that never end, %s: bounded, and alice is served",
  { timeout: PATIENCE_MS },
  async (_, start) => {
    await start();
    expectServed(await meanwhile());
  },
);

it(
  "F4: 1,000 connections of HTTP/1.1, each with a body of 256 KiB that never ends: bounded, and alice is served",
  { timeout: PATIENCE_MS },
  async () => {
    for (let i = 0; i < 1000; i += 1) unfinishedHttp1();
    expectServed(await meanwhile());
  },
);

it("F4: headers that HTTP/2 packs into a few bytes count for their source in full, and for nobody else", async () => {
  const refused = new Set<object>();
  const packed = { "x-a": Array.from({ length: 20 }, () => "v".repeat(2900)) }; // 58 KiB; from the second request on, 20 bytes
  for (let i = 0; i < 30; i += 1) {
    const session = connectHttp2(lab.gateway, {
      createConnection: () => connect({ port: ports.gateway, host: "127.0.0.1", localAddress: "127.0.1.7" }),
      maxSendHeaderBlockLength: 100_000,
    });
    open.push(session);
    session.on("error", () => {});
    for (let k = 0; k < 32; k += 1) {
      const head = {
        ":method": "POST",
        ":path": "/mcp",
        authorization: "Bearer x",
        "content-length": "100",
        ...packed,
      };
      const stream = session
        .request(head)
        .on("error", () => {})
        .resume();
      stream.on("response", (answer) => answer[":status"] === 429 && refused.add(stream));
    }
  }
  await vi.waitFor(() => expect(refused.size).toBeGreaterThan(100), 10_000); // 960 of 58 KiB are 54 MiB
  const reply = await legacy(lab.gateway, "tools/call", { name: "echo", arguments: { text: "x" } }, { token: alice });
  expect(reply.status).toBe(200);
});

it("a caller's own large bodies pass, and requests without a body cost none of the budget", async () => {
  const large = { name: "echo", arguments: { text: "x".repeat(200_000) } };
  await delay(2000); // tokens of the source, which the attacks above have taken
  const medium = { name: "echo", arguments: { text: "x".repeat(20_000) } };
  const many = Array.from({ length: 40 }, () => legacy(lab.gateway, "tools/call", medium, { token: alice }));
  expect((await Promise.all(many)).map(({ status }) => status)).toEqual(many.map(() => 200)); // a body costs its length
  for (let i = 0; i < 5; i += 1)
    expect((await legacy(lab.gateway, "tools/call", large, { token: alice })).status).toBe(200);
  const got = await Promise.all(
    Array.from({ length: 300 }, () => fetch(`${lab.gateway}/.well-known/oauth-protected-resource`)),
  );
  expect(new Set(got.map(({ status }) => status))).toEqual(new Set([200]));
});
