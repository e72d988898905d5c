// `npm run bench`: our full decision against a server that does nothing, in one run. Both get the same bytes from the same
// client, in short windows that take turns, so that whatever else the machine does meets both. Ratios hold; figures do not.
import { spawn, type ChildProcess } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Client, credentials } from "@grpc/grpc-js";
import { stringify } from "yaml";
import { checkMessage, codecs, FULL_PROTO } from "../test/fakes/check-request.ts";
import { compact, makeKey, startIssuer } from "../test/fakes/issuer.ts";
import { freePorts } from "../test/lab/ports.ts";

const ROOT = resolve(import.meta.dirname, "..");
const WINDOWS = 15;
const WINDOW_MS = 1000;
const IN_FLIGHT = 64;
const CLOCK_TICKS_PER_SECOND = 100; // Linux: sysconf(_SC_CLK_TCK)

interface Target {
  readonly name: string;
  readonly child: ChildProcess;
  readonly client: Client;
  readonly perSecond: number[];
  readonly cpuMicros: number[];
}

const identity = (bytes: Buffer) => bytes;

function check(client: Client, bytes: Buffer): Promise<Buffer> {
  return new Promise((done, fail) => {
    client.makeUnaryRequest(
      "/envoy.service.auth.v3.Authorization/Check",
      identity,
      identity,
      bytes,
      { deadline: Date.now() + 5000 },
      (error, answer) => {
        if (error || answer === undefined) fail(error ?? new Error("no answer"));
        else done(answer);
      },
    );
  });
}

/** Seconds of CPU, all threads. */
function cpuSeconds(child: ChildProcess): number {
  const fields = readFileSync(`/proc/${child.pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_SECOND;
}

function residentMiB(child: ChildProcess): number {
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1] ?? 0) / 1024);
}

async function window(target: Target, bytes: Buffer, ms: number): Promise<number> {
  const end = performance.now() + ms;
  let count = 0;
  const worker = async () => {
    while (performance.now() < end) {
      await check(target.client, bytes);
      count += 1;
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  return count;
}

async function measure(target: Target, bytes: Buffer): Promise<void> {
  const cpu = cpuSeconds(target.child);
  const started = performance.now();
  const count = await window(target, bytes, WINDOW_MS);
  target.perSecond.push(count / ((performance.now() - started) / 1000));
  target.cpuMicros.push(((cpuSeconds(target.child) - cpu) / count) * 1e6);
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
}

function startChild(args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [...args], { stdio: ["ignore", "pipe", "inherit"], cwd: ROOT });
}

function report(target: Target): string {
  const range = (values: readonly number[]) =>
    `${quantile(values, 0.5).toFixed(0)} (${quantile(values, 0.1).toFixed(0)}–${quantile(values, 0.9).toFixed(0)})`;
  return `${target.name.padEnd(32)} ${range(target.perSecond).padStart(22)} ${range(target.cpuMicros).padStart(16)} ${String(residentMiB(target.child)).padStart(8)}`;
}

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-bench-"));
const key = makeKey("k1");
const issuer = await startIssuer(key);
const ports = await freePorts();
mkdirSync(join(folder, "keys"));
const pem = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" });
writeFileSync(join(folder, "keys/w.pem"), pem, { mode: 0o600 });
writeFileSync(join(folder, "pat"), "upstream-credential", { mode: 0o600 });
const config = {
  publicOrigin: "http://127.0.0.1:8080",
  listen: {
    authz: `127.0.0.1:${ports.authz}`,
    ops: `127.0.0.1:${ports.ops}`,
    broker: `127.0.0.1:${ports.broker}`,
    brokerOps: `127.0.0.1:${ports.brokerOps}`,
  },
  audit: { file: "audit.jsonl" },
  identity: { issuers: [{ issuer: issuer.issuer, audiences: ["gateway"], algorithms: ["ES256"] }] },
  policy: { path: join(ROOT, "policies/demo") },
  wristband: { issuer: "http://127.0.0.1:8080", keys: [{ kid: "w", file: "keys/w.pem" }] },
  servers: {
    demo: { url: "http://127.0.0.1:1/mcp", callRouting: "direct", credential: [{ static: { file: "pat" } }] },
  },
};
writeFileSync(join(folder, "mcp-authz.yaml"), stringify(config));

const noopChild = startChild(["bench/noop-server.ts"]);
const noopPort = await new Promise<string>((done) =>
  noopChild.stdout?.once("data", (data: Buffer) => done(data.toString().trim())),
);
const serveChild = startChild(["src/bin/mcp-authz.ts", "serve", "--config", join(folder, "mcp-authz.yaml")]);
const target = (name: string, child: ChildProcess, port: string | number): Target => ({
  name,
  child,
  client: new Client(`127.0.0.1:${port}`, credentials.createInsecure()),
  perSecond: [],
  cpuMicros: [],
});
const noop = target("(a) no-op, grpc-js + proto-loader", noopChild, noopPort);
const ours = target("(b) the full decision, warm", serveChild, ports.authz);

const now = Math.floor(Date.now() / 1000);
const token = compact(
  key,
  { alg: "ES256", typ: "at+jwt", kid: "k1" },
  {
    iss: issuer.issuer,
    aud: "gateway",
    sub: "alice",
    exp: now + 3600,
    iat: now,
    groups: ["engineering"],
    scope: "mcp:read mcp:write",
    preferred_username: "alice",
  },
);
const body = JSON.stringify({
  jsonrpc: "2.0",
  id: 7,
  method: "tools/call",
  params: { name: "search_docs", arguments: { query: "how to measure" } },
});
const { request, response } = codecs(FULL_PROTO);
const bytes = request.encode(
  checkMessage({
    path: "/servers/demo/mcp",
    host: "127.0.0.1",
    body,
    headers: {
      authorization: `Bearer ${token}`,
      accept: "application/json, text/event-stream",
      "user-agent": "bench",
      "mcp-protocol-version": "2025-11-25",
      "x-request-id": "0b0a3b1e-0000-4000-8000-000000000000",
      "x-forwarded-for": "192.0.2.1",
      "x-forwarded-proto": "http",
    },
  }),
);

try {
  const deadline = Date.now() + 20_000;
  while (
    !(await fetch(`http://127.0.0.1:${ports.ops}/readyz`).then(
      (r) => r.ok,
      () => false,
    ))
  ) {
    if (Date.now() > deadline) throw new Error("serve is not ready");
  }
  const first = response.decode(await check(ours.client, bytes)) as { status: { code: number } };
  if (first.status.code !== 0) throw new Error("the request of the bench is not allowed: nothing to measure");
  console.log(
    `${IN_FLIGHT} in flight, ${bytes.length} bytes per Check, ${WINDOWS} windows of ${WINDOW_MS} ms each, taking turns`,
  );
  for (const each of [noop, ours]) await window(each, bytes, 3000); // warm
  for (let i = 0; i < WINDOWS; i += 1)
    for (const each of i % 2 === 0 ? [noop, ours] : [ours, noop]) await measure(each, bytes);
  const ratios = ours.perSecond.map((value, i) => value / (noop.perSecond[i] ?? 1));
  console.log(
    `${"".padEnd(32)} ${"checks/s (p10–p90)".padStart(22)} ${"CPU µs".padStart(16)} ${"RSS MiB".padStart(8)}`,
  );
  console.log([noop, ours].map(report).join("\n"));
  console.log(
    `(b) / (a): ${quantile(ratios, 0.5).toFixed(2)} of the throughput (${quantile(ratios, 0.1).toFixed(2)}–${quantile(ratios, 0.9).toFixed(2)}), ${(quantile(ours.cpuMicros, 0.5) / quantile(noop.cpuMicros, 0.5)).toFixed(2)} of the CPU per check`,
  );
} finally {
  noopChild.kill();
  serveChild.kill();
  await issuer.close();
  rmSync(folder, { recursive: true, force: true });
}
process.exit();
