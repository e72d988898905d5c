// What the broker's memory is for: idle sessions, listening streams, large answers, and nothing that stays of calls. The numbers are small
// here; `IDLE=10000 CALLS=100000` are those of docs/performance.md, and print what they measure.
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Agent, request as httpRequest, type ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, expect, it } from "vitest";
import { json, result, startEraServer, type EraServer } from "../fakes/mcp-server.ts";
import type { IdleBroker, IdleMemory } from "../fakes/idle-broker.ts";

const COUNT = Number(process.env["IDLE"] ?? 1000);
const CALLS = Number(process.env["CALLS"] ?? 1000);
/** Listening streams of one caller are bounded. */
const PER_CALLER = 50;
const KIB = 1024;
const MIB = 1024 * KIB;
const LARGE_BYTES = 100 * MIB;
const AT_ONCE = 50;
/** Calls at a time. */
const CALLERS = 16;
const MODERN = "2026-07-28";

const message = (method: string, params: object) => JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
const meta = { "io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {} };
const bodyOf = (size: string) => message("tools/call", { name: "echo", arguments: { size }, _meta: meta });
const BODIES = { small: bodyOf("small"), large: bodyOf("large") };

let child: ChildProcess;
let upstream: EraServer;
let broker: IdleBroker;
const sockets: Socket[] = [];

beforeAll(async () => {
  upstream = await startEraServer("modern", (arrival, response) => {
    const { size } = arrival.params["arguments"] as { size: string };
    if (size === "small") json(response, 200, result(arrival, { content: [], resultType: "complete" }));
    else sendLarge(String(arrival.message?.id), response);
  });
  const program = join(import.meta.dirname, "../fakes/idle-broker.ts");
  const execArgv = ["--expose-gc", "--disable-warning=ExperimentalWarning"];
  const args = [upstream.url, String(Math.ceil(COUNT / PER_CALLER)), BODIES.small, BODIES.large];
  child = fork(program, args, { execArgv });
  [broker] = (await once(child, "message")) as [IdleBroker];
}, 60_000);
afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  child.disconnect();
  await once(child, "exit");
  await upstream.close();
});

function sendLarge(id: string, response: ServerResponse): void {
  response.writeHead(200, { "content-type": "application/json" });
  const piece = Buffer.alloc(64 * KIB, "x");
  function* pieces() {
    yield `{"jsonrpc":"2.0","id":${id},"result":{"resultType":"complete","content":[{"type":"text","text":"`;
    for (let sent = 0; sent < LARGE_BYTES; sent += piece.length) yield piece;
    yield '"}]}}';
  }
  Readable.from(pieces()).pipe(response);
}

async function memory(): Promise<IdleMemory> {
  const answered = once(child, "message");
  child.send("memory");
  return ((await answered) as [IdleMemory])[0];
}

function requestOf(head: string, headers: Readonly<Record<string, string>>, body = ""): string {
  const all = { host: "gw", accept: "application/json, text/event-stream", ...headers };
  const content = body === "" ? {} : { "content-type": "application/json", "content-length": String(body.length) };
  const lines = Object.entries({ ...all, ...content }).map(([name, value]) => `${name}: ${value}`);
  return `${head} /mcp HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n${body}`;
}

/** Sends a request on a connection of its own, and resolves with what came until `mark` did. */
function say(request: string, mark: string): Promise<{ readonly socket: Socket; readonly text: string }> {
  return new Promise((done, fail) => {
    const socket = connect(broker.port, "127.0.0.1");
    let text = "";
    socket.setEncoding("utf8").on("error", fail);
    socket.on("data", (chunk: string) => {
      text += chunk;
      if (text.includes(mark)) done({ socket, text });
    });
    socket.on("close", () => fail(new Error(`closed: ${text.slice(0, 300)}`)));
    socket.write(request);
  });
}

/** Opens so many, a few at a time; `open` gets the wristbands of its caller. */
async function openAll(open: (bands: IdleBroker["callers"][number]) => Promise<void>): Promise<void> {
  const waiting = Array.from({ length: COUNT }, (_, i) => broker.callers[Math.floor(i / PER_CALLER)]!);
  const work = async () => {
    for (let bands = waiting.pop(); bands !== undefined; bands = waiting.pop()) await open(bands);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

async function begin({ list }: IdleBroker["callers"][number]): Promise<string> {
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "c", version: "1" } };
  const request = requestOf("POST", { "x-authorized-tools": list }, message("initialize", params));
  const { socket, text } = await say(request, '"protocolVersion"');
  socket.removeAllListeners("close").destroy();
  return /mcp-session-id: (\S+)/i.exec(text)?.[1] ?? "";
}

async function listenModern({ list }: IdleBroker["callers"][number]): Promise<void> {
  const body = message("subscriptions/listen", { notifications: { toolsListChanged: true }, _meta: meta });
  const headers = { "mcp-protocol-version": MODERN, "mcp-method": "subscriptions/listen", "x-authorized-tools": list };
  sockets.push((await say(requestOf("POST", headers, body), "acknowledged")).socket);
}

async function perClient(work: () => Promise<void>): Promise<Record<keyof IdleMemory, number>> {
  const before = await memory();
  await work();
  const after = await memory();
  const each = (name: keyof IdleMemory) => (after[name] - before[name]) / COUNT / KIB;
  return { heap: each("heap"), external: each("external"), resident: each("resident") };
}

const told = (title: string, { heap, external, resident }: Record<keyof IdleMemory, number>) => {
  const [h, e, r] = [heap, external, resident].map((kib) => kib.toFixed(1));
  if (process.env["IDLE"] !== undefined)
    console.info(`${COUNT} ${title}, KiB each: heap ${h}, external ${e}, resident ${r}`);
};

const ids: string[] = [];

it("an idle session costs less than 20 KiB", async () => {
  await openAll(async (bands) => void (await begin(bands))); // what is made once is there
  const cost = await perClient(() => openAll(async (bands) => void ids.push(await begin(bands))));
  told("idle sessions", cost);
  expect(ids.filter(Boolean)).toHaveLength(COUNT);
  expect(cost.heap + cost.external).toBeLessThan(20);
}, 300_000);

it("idle listeners of 2026-07-28 hold", async () => {
  const modern = await perClient(() => openAll(listenModern));
  told("idle listeners of 2026-07-28", modern);
  expect(modern.heap + modern.external).toBeLessThan(40);
  expect(sockets.filter(({ destroyed, readableEnded }) => destroyed || readableEnded)).toEqual([]);
}, 300_000);

const agent = new Agent({ keepAlive: true });

/** One call; resolves with the bytes of its answer. */
function call(size: keyof typeof BODIES): Promise<number> {
  const headers = {
    ...{ "content-type": "application/json", accept: "application/json, text/event-stream" },
    ...{ "mcp-protocol-version": MODERN, "mcp-method": "tools/call", "mcp-name": "echo", "x-mcp-server": "s" },
    ...{ "x-upstream-authorization": "Bearer c", "x-authorized-tools": broker.calls[size === "small" ? 0 : 1] ?? "" },
  };
  const options = { port: broker.port, host: "127.0.0.1", method: "POST", path: "/servers/s/mcp", headers, agent };
  return new Promise((done, fail) => {
    const request = httpRequest(options, (response) => {
      let bytes = 0;
      response.on("data", (chunk: Buffer) => (bytes += chunk.length)).on("error", fail);
      response.on("end", () =>
        response.statusCode === 200 ? done(bytes) : fail(new Error(String(response.statusCode))),
      );
    });
    request.on("error", fail).end(BODIES[size]);
  });
}

async function callMany(count: number): Promise<void> {
  let left = count;
  const work = async () => {
    while ((left -= 1) >= 0) await call("small");
  };
  await Promise.all(Array.from({ length: CALLERS }, work));
}

it("memory is flat over calls", async () => {
  await callMany(CALLS / 2); // what is compiled and pooled is there
  const before = await memory();
  await callMany(CALLS);
  const { heap, external, resident } = await memory();
  const grown = (heap + external - before.heap - before.external) / CALLS;
  if (process.env["CALLS"] !== undefined)
    console.info(
      `${CALLS} calls: ${grown.toFixed(1)} bytes each, resident ${((resident - before.resident) / MIB).toFixed(1)} MiB`,
    );
  expect(grown).toBeLessThan(3 * KIB);
}, 600_000);

it("100 MiB of an answer pass, at least one time of three, with less than 50 MiB more", async () => {
  const grown: number[] = [];
  for (let i = 0; i < 3; i += 1) {
    const before = await memory();
    let most = 0;
    const timer = setInterval(() => (most = Math.max(most, residentOf(child))), 20);
    expect(await call("large")).toBeGreaterThan(LARGE_BYTES);
    clearInterval(timer);
    grown.push((most - before.resident) / MIB);
  }
  if (process.env["CALLS"] !== undefined)
    console.info(`100 MiB: ${grown.map((mib) => mib.toFixed(1)).join(", ")} MiB more`);
  // Whatever grows once, as compiled code does, is not the answer.
  expect(Math.min(...grown)).toBeLessThan(50);
}, 60_000);

function residentOf({ pid }: ChildProcess): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * KIB;
}
