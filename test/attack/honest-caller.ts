// The honest caller, in a process of her own: one request after the other with a pause, most of them calls of a tool, every
// tenth a list. What comes back must be right, not only 200.
import { Agent, request } from "node:http";
import { setTimeout as delay } from "node:timers/promises";

export interface HonestTask {
  readonly gateway: string;
  readonly token: string;
  /** The local address that she comes from. */
  readonly source: string;
}

/** Told before each window. */
export interface HonestWindow {
  readonly seconds: number;
}

/** One request: how long it took, and what was wrong with it. */
export interface HonestRequest {
  readonly what: "call" | "list";
  readonly ms: number;
  readonly fault: string | null;
}

const PAUSE_MS = 50;
const LIST_EVERY = 10;
/** A connection is left after so many requests: new ones must be taken, too. */
const PER_CONNECTION = 20;
const PATIENCE_MS = 10_000;

process.once("message", (task: HonestTask) => {
  process.on("message", ({ seconds }: HonestWindow) => {
    void measure(task, seconds).then((requests) => process.send?.(requests));
  });
});

async function measure(task: HonestTask, seconds: number): Promise<HonestRequest[]> {
  const requests: HonestRequest[] = [];
  const end = performance.now() + seconds * 1000;
  let agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let n = 1; performance.now() < end; n += 1) {
    const what = n % LIST_EVERY === 0 ? "list" : "call";
    const path = what === "list" && n % (2 * LIST_EVERY) === 0 ? "/mcp" : "/servers/demo/mcp";
    const at = performance.now();
    const fault = await ask(task, agent, { what, path, word: `w${n}` });
    requests.push({ what, ms: performance.now() - at, fault });
    if (n % PER_CONNECTION === 0) {
      agent.destroy();
      agent = new Agent({ keepAlive: true, maxSockets: 1 });
    }
    await delay(PAUSE_MS);
  }
  agent.destroy();
  return requests;
}

interface Question {
  readonly what: "call" | "list";
  readonly path: string;
  readonly word: string;
}

/** Null when the answer is the right one, else a word on what it was. */
function ask(task: HonestTask, agent: Agent, { what, path, word }: Question): Promise<string | null> {
  const { hostname, port } = new URL(task.gateway);
  const params = what === "list" ? {} : { name: "echo", arguments: { text: word } };
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: what === "list" ? "tools/list" : "tools/call", params });
  const headers = {
    authorization: `Bearer ${task.token}`,
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    "content-length": Buffer.byteLength(body),
  };
  const place = { host: hostname, port: Number(port), localAddress: task.source, path, method: "POST", headers, agent };
  return new Promise((done) => {
    const sent = request(place, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => (text += part));
      response.on("error", () => {});
      response.on("close", () => {
        clearTimeout(timer);
        done(faultIn({ status: response.statusCode ?? 0, text }, what === "list" ? '"inputSchema"' : word));
      });
    });
    const timer = setTimeout(() => {
      sent.destroy();
      done("no answer");
    }, PATIENCE_MS);
    sent.on("error", (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      done(error.code ?? "error");
    });
    sent.end(body);
  });
}

function faultIn({ status, text }: { status: number; text: string }, expected: string): string | null {
  const list = expected === '"inputSchema"' && !/echo/.test(text);
  if (status === 200 && text.includes(expected) && !list) return null;
  return `${status} ${/"reason":"(\w+)"/.exec(text)?.[1] ?? ""}`.trim();
}
