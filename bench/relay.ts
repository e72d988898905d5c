// `node bench/relay.ts`: a small call through the broker's relay against the same bytes through a bare node:http proxy,
// in one run, in windows that take turns. Ratios hold; figures do not. Then 100,000 calls, to see that memory stays.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, createServer, request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { stringify } from "yaml";
import { compact, makeKey } from "../test/fakes/issuer.ts";
import { freePorts } from "../demo/ports.ts";
import { bodyDigest } from "../src/wristband/claims.ts";

const ROOT = resolve(import.meta.dirname, "..");
const { values: options } = parseArgs({
  options: {
    windows: { type: "string", default: "15" },
    "window-ms": { type: "string", default: "1000" },
    /** Of the part that looks at memory. */
    calls: { type: "string", default: "100000" },
  },
});
const WINDOWS = Number(options.windows);
const WINDOW_MS = Number(options["window-ms"]);
const IN_FLIGHT = 32;
/** Before that the compiler is at work, and its threads count. */
const MEMORY_CALLS = Number(options.calls);
const WARM_CALLS = MEMORY_CALLS / 5;
const CLOCK_TICKS_PER_SECOND = 100; // Linux: sysconf(_SC_CLK_TCK)
const GATEWAY = "http://127.0.0.1:8080";

interface Target {
  readonly name: string;
  readonly child: ChildProcess;
  readonly port: number;
  readonly agent: Agent;
  readonly perSecond: number[];
  readonly cpuMicros: number[];
}

function cpuSeconds({ child }: Target): number {
  const fields = readFileSync(`/proc/${child.pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_SECOND;
}

function residentMiB({ child }: Target): number {
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1] ?? 0) / 1024);
}

function call({ port, agent }: Target, headers: Record<string, string>, body: Buffer): Promise<number> {
  return new Promise((done, fail) => {
    const options = { port, host: "127.0.0.1", method: "POST", path: "/servers/s/mcp", headers, agent };
    const request = httpRequest(options, (response) => {
      response.resume();
      response.on("end", () => done(response.statusCode ?? 0));
    });
    request.on("error", fail);
    request.end(body);
  });
}

/** Calls until the time or the count is over. */
async function run(target: Target, headers: Record<string, string>, limit: { ms?: number; calls?: number }) {
  const end = performance.now() + (limit.ms ?? Infinity);
  let count = 0;
  const worker = async () => {
    while (performance.now() < end && count < (limit.calls ?? Infinity)) {
      count += 1;
      const status = await call(target, headers, BODY);
      if (status !== 200) throw new Error(`${target.name}: status ${status}`);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  return count;
}

async function measure(target: Target, headers: Record<string, string>): Promise<void> {
  const cpu = cpuSeconds(target);
  const started = performance.now();
  const count = await run(target, headers, { ms: WINDOW_MS });
  target.perSecond.push(count / ((performance.now() - started) / 1000));
  target.cpuMicros.push(((cpuSeconds(target) - cpu) / count) * 1e6);
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
}

const children: ChildProcess[] = [];
function startChild(...args: string[]): ChildProcess {
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"], cwd: ROOT });
  children.push(child);
  return child;
}

const portOf = (child: ChildProcess) =>
  new Promise<number>((done) => child.stdout?.once("data", (data: Buffer) => done(Number(data.toString()))));
const target = (name: string, child: ChildProcess, port: number): Target => ({
  name,
  child,
  port,
  agent: new Agent({ keepAlive: true }),
  perSecond: [],
  cpuMicros: [],
});

const BODY = Buffer.from(
  JSON.stringify({
    jsonrpc: "2.0",
    id: 7,
    method: "tools/call",
    params: {
      name: "search_docs",
      arguments: { query: "how to measure" },
      _meta: {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
      },
    },
  }),
);

const key = makeKey("k1");
const now = Math.floor(Date.now() / 1000);
const wristband = compact(
  key,
  { alg: "ES256", typ: "wristband+jwt", kid: "k1" },
  {
    ...{
      iss: GATEWAY,
      aud: "mcp-broker",
      sub: "alice",
      idp: GATEWAY,
      iat: now,
      exp: now + 3600,
      jti: "j",
      use: "call",
      body: bodyDigest(BODY),
    },
    ...{ caller_exp: now + 3600, tools: { s: ["search_docs"] }, prompts: {}, resources: {} },
  },
);
const HEADERS: Record<string, string> = {
  "content-type": "application/json",
  accept: "application/json, text/event-stream",
  "mcp-protocol-version": "2026-07-28",
  "mcp-method": "tools/call",
  "mcp-name": "search_docs",
  "content-length": String(BODY.length),
};
const RELAYED = {
  ...HEADERS,
  "x-authorized-tools": wristband,
  "x-mcp-server": "s",
  "x-upstream-authorization": "Bearer upstream-credential",
};

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-bench-"));
const ports = await freePorts();
const keys = createServer((_, response) =>
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ keys: [key.jwk] })),
);
await new Promise<void>((done) => keys.listen(ports.ops, "127.0.0.1", done));
const upstreamPort = await portOf(startChild("bench/relay-peer.ts", "upstream"));
const url = `http://127.0.0.1:${upstreamPort}/mcp`;
const proxyChild = startChild("bench/relay-peer.ts", "proxy", url);
const bare = target("(a) node:http proxy", proxyChild, await portOf(proxyChild));
writeFileSync(join(folder, "pat"), "upstream-credential", { mode: 0o600 });
writeFileSync(join(folder, "w.pem"), "", { mode: 0o600 });
const config = {
  publicOrigin: GATEWAY,
  listen: { broker: `127.0.0.1:${ports.broker}`, brokerOps: `127.0.0.1:${ports.brokerOps}` },
  identity: { issuers: [{ issuer: "http://127.0.0.1:1", audiences: ["gateway"], algorithms: ["ES256"] }] },
  policy: { path: join(ROOT, "policies/demo") },
  wristband: {
    issuer: GATEWAY,
    keys: [{ kid: "k1", file: "w.pem" }],
    jwksUrl: `http://127.0.0.1:${ports.ops}/jwks.json`,
  },
  servers: { s: { url, credential: [{ static: { file: "pat" } }] } },
};
writeFileSync(join(folder, "mcp-authz.yaml"), stringify(config));
const ours = target(
  "(b) the broker's relay",
  startChild("src/cli/mcp-authz.ts", "broker", "--config", join(folder, "mcp-authz.yaml")),
  ports.broker,
);

function report(each: Target): string {
  const range = (values: readonly number[]) =>
    `${quantile(values, 0.5).toFixed(0)} (${quantile(values, 0.1).toFixed(0)}–${quantile(values, 0.9).toFixed(0)})`;
  return `${each.name.padEnd(26)} ${range(each.perSecond).padStart(22)} ${range(each.cpuMicros).padStart(16)}`;
}

async function whenReady(): Promise<void> {
  const deadline = Date.now() + 20_000;
  const isReady = () =>
    fetch(`http://127.0.0.1:${ports.brokerOps}/readyz`).then(
      (r) => r.ok,
      () => false,
    );
  while (!(await isReady())) if (Date.now() > deadline) throw new Error("the broker is not ready");
}

try {
  await whenReady();
  const pairs = [
    [bare, HEADERS],
    [ours, RELAYED],
  ] as const;
  for (const [each, headers] of pairs) await run(each, headers, { calls: WARM_CALLS });
  console.log(`${IN_FLIGHT} in flight, ${BODY.length} bytes, ${WINDOWS} windows of ${WINDOW_MS} ms each, taking turns`);
  for (let i = 0; i < WINDOWS; i += 1)
    for (const [each, headers] of i % 2 === 0 ? pairs : pairs.toReversed()) await measure(each, headers);
  const ratios = ours.perSecond.map((value, i) => value / (bare.perSecond[i] ?? 1));
  console.log(`${"".padEnd(26)} ${"calls/s (p10–p90)".padStart(22)} ${"CPU µs".padStart(16)}`);
  console.log([bare, ours].map(report).join("\n"));
  const cpu = quantile(ours.cpuMicros, 0.5) / quantile(bare.cpuMicros, 0.5);
  console.log(
    `(b) / (a): ${quantile(ratios, 0.5).toFixed(2)} of the throughput (${quantile(ratios, 0.1).toFixed(2)}–${quantile(ratios, 0.9).toFixed(2)}), ${cpu.toFixed(2)} times the CPU`,
  );
  const memory = [residentMiB(ours)];
  for (let half = 0; half < 2; half += 1) {
    await run(ours, RELAYED, { calls: MEMORY_CALLS / 2 });
    memory.push(residentMiB(ours));
  }
  console.log(`RSS of the broker over ${MEMORY_CALLS} calls: ${memory.join(" → ")} MiB`);
} finally {
  for (const child of children) child.kill();
  keys.close();
  rmSync(folder, { recursive: true, force: true });
}
process.exit();
