// The two wire stacks under the same sessions: bytes in, what became of them out. I/O on socket files.
import { createHash } from "node:crypto";
import { connect } from "node:net";
import { join } from "node:path";
import { FRAME } from "../../../src/http2/frame.ts";
import { loadWireStack, type WireStackName } from "../../../src/envoy/wire-stack.ts";
import { frame } from "../../fakes/http2-frames.ts";
import { outcomeOf, type Outcome } from "./outcome.ts";

/** Behind a session: by its acknowledgement all before it was read. */
const LAST_PING = frame({ type: FRAME.ping, payload: Buffer.from("last one") });
/** A server that says nothing for so long is done. */
const SILENCE_MS = 2000;
const hashOf = (bytes: Buffer) => createHash("sha256").update(bytes).digest();

/** Sends a session on a connection of its own. @param turns how often the event loop of the server goes on behind it */
export type Send = (bytes: Buffer, turns: number) => Promise<Outcome>;

export interface Http2Pair {
  readonly ours: Send;
  readonly reference: Send;
  close(): Promise<void>;
}

/** A server of the stack whose Checks answer with the hash of the message that they were given. */
async function openServer(stack: WireStackName, folder: string) {
  const { createServer } = await loadWireStack(stack);
  const path = join(folder, `http2-${stack}.sock`);
  const server = createServer({
    address: { kind: "unix", path },
    tls: null,
    handler: (message) => Promise.resolve(hashOf(message)),
    unknownClientResponse: () => Buffer.from("unknown client"),
    checkTimeoutMs: 60_000,
  });
  await server.listen();
  const send: Send = (bytes, turns) => outcomeAt(path, bytes, turns);
  return { send, close: () => server.drain(0) };
}

export async function openHttp2Pair(folder: string): Promise<Http2Pair> {
  const [ours, reference] = await Promise.all([openServer("http2", folder), openServer("grpc-js", folder)]);
  return {
    ours: ours.send,
    reference: reference.send,
    close: async () => {
      await Promise.all([ours.close(), reference.close()]);
    },
  };
}

function outcomeAt(path: string, bytes: Buffer, turns: number): Promise<Outcome> {
  return new Promise((done) => {
    const socket = connect(path);
    const read: Buffer[] = [];
    let pings = 0;
    const finish = (isClosed: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      done(outcomeOf(Buffer.concat(read), isClosed));
    };
    const timer = setTimeout(() => finish(false), SILENCE_MS);
    socket.on("error", () => {});
    socket.on("close", () => finish(true));
    socket.on("data", (part) => {
      read.push(part);
      // What a stream is answered comes some turns behind its frames: more PINGs wait for it.
      if (!part.includes("last one")) return;
      pings += 1;
      if (pings > turns) finish(false);
      else setImmediate(() => socket.write(LAST_PING));
    });
    socket.write(Buffer.concat([bytes, LAST_PING]));
  });
}
