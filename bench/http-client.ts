// A client for HTTP/1.1 over kept-alive connections, one request at a time on each, written from prepared bytes. Whoever is asked
// while all are busy waits, and waiting counts. I/O.
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Answered, Connection, Verdict } from "./service.ts";

const HEAD_END = Buffer.from("\r\n\r\n");
const LAST_CHUNK = "0\r\n\r\n";

/** One socket. */
class Line {
  due = 0;
  bytes: Buffer = Buffer.alloc(0);
  readonly socket: Socket;
  constructor(socket: Socket) {
    this.socket = socket;
  }
}

export class HttpConnections implements Connection {
  last: Buffer = Buffer.alloc(0);
  closed = 0;
  readonly #requests: readonly Buffer[];
  readonly #answered: Answered;
  readonly #lines: Line[] = [];
  readonly #free: Line[] = [];
  readonly #waiting: number[] = [];
  #next = 0;
  #isClosing = false;

  private constructor(requests: readonly Buffer[], answered: Answered) {
    this.#requests = requests;
    this.#answered = answered;
  }

  static async open(address: string, requests: readonly Buffer[], load: { answered: Answered; connections: number }) {
    const all = new HttpConnections(requests, load.answered);
    for (let i = 0; i < load.connections; i += 1) await all.#connect(address);
    return all;
  }

  send(due: number): number {
    const line = this.#free.pop();
    if (line === undefined) this.#waiting.push(due);
    else this.#write(line, due);
    return 0;
  }

  reset(): boolean {
    return false;
  }

  flush(): void {}

  close(): void {
    this.#isClosing = true;
    for (const { socket } of this.#lines) socket.destroy();
  }

  async #connect(address: string): Promise<void> {
    const { hostname, port } = new URL(`http://${address}`);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    await once(socket, "connect");
    const line = new Line(socket);
    socket.on("data", (bytes: Buffer) => this.#read(line, bytes));
    socket.on("error", () => {});
    socket.on("close", () => {
      if (this.#isClosing) return;
      this.closed += 1;
      this.#answered(line.due, "fault");
    });
    this.#lines.push(line);
    this.#free.push(line);
  }

  #write(line: Line, due: number): void {
    line.due = due;
    line.socket.write(this.#requests[this.#next] ?? "");
    this.#next = (this.#next + 1) % this.#requests.length;
  }

  #read(line: Line, bytes: Buffer): void {
    line.bytes = line.bytes.length === 0 ? bytes : Buffer.concat([line.bytes, bytes]);
    const answer = wholeAnswer(line.bytes);
    if (answer === null) return;
    this.last = answer.body;
    line.bytes = Buffer.alloc(0);
    const { due } = line;
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#free.push(line);
    else this.#write(line, waiting);
    this.#answered(due, answer.verdict);
  }
}

/** The answer when it is there to its end: a length, or chunks of which the last is the end of what came. */
function wholeAnswer(bytes: Buffer): { readonly verdict: Verdict; readonly body: Buffer } | null {
  const head = bytes.indexOf(HEAD_END);
  if (head < 0) return null;
  const text = bytes.toString("latin1", 0, head).toLowerCase();
  const from = head + HEAD_END.length;
  const length = /\r\ncontent-length: (\d+)/.exec(text)?.[1];
  const isWhole =
    length === undefined
      ? bytes.toString("latin1", bytes.length - LAST_CHUNK.length) === LAST_CHUNK
      : bytes.length >= from + Number(length);
  if (!isWhole) return null;
  const body = length === undefined ? joined(bytes.subarray(from)) : bytes.subarray(from);
  return { verdict: text.startsWith("http/1.1 200") ? "allow" : "deny", body };
}

/** Chunks as one. */
function joined(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; ;) {
    const end = bytes.indexOf("\r\n", at);
    const length = Number.parseInt(bytes.toString("latin1", at, end), 16);
    if (!(length > 0)) return Buffer.concat(parts);
    parts.push(bytes.subarray(end + 2, end + 2 + length));
    at = end + 2 + length + 2;
  }
}

/** A POST of JSON to `/mcp` or another path. */
export function post(path: string, body: string, headers: Readonly<Record<string, string>>): Buffer {
  const all = {
    host: "mcp.example.com",
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    "content-length": String(Buffer.byteLength(body)),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`POST ${path} HTTP/1.1\r\n${lines.join("")}\r\n${body}`);
}
