// Calls whose answers are read as fast as they come, or (a window of 0) never: as many streams as the gateway allows, each
// opened anew a second after its end, or not.
import type { Settings } from "node:http2";
import { setTimeout as delay } from "node:timers/promises";
import { openSession, runAttacker, type AttackTask, type Counts } from "./attacker.ts";

export interface HeldCalls extends AttackTask {
  readonly path: string;
  readonly connections: number;
  readonly streamsPerConnection: number;
  /** False: the client's HTTP/2 window is 0, so that nothing of a body can be sent to it. */
  readonly reads: boolean;
  /** Default true. */
  readonly reopens?: boolean;
}

const PAUSE_MS = 1000;

const BODY = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "t", arguments: {} } });

runAttacker((task: HeldCalls, counts) => {
  for (let i = 0; i < task.connections; i += 1) void connection(task, counts);
});

async function connection(task: HeldCalls, counts: Counts): Promise<never> {
  for (;;) {
    const session = openSession(task, task.reads ? {} : { settings: { initialWindowSize: 0 } });
    session.on("error", () => counts.add("connection lost"));
    const closed = new Promise((done) => session.once("close", done));
    const settings = new Promise<Settings>((done) => session.once("remoteSettings", done));
    const { maxConcurrentStreams } = await Promise.race([settings, closed.then(() => ({}) as Settings)]);
    const streams = Math.min(maxConcurrentStreams ?? 0, task.streamsPerConnection);
    const one = async () => {
      do {
        await call();
        await delay(PAUSE_MS);
      } while (task.reopens !== false && !session.destroyed && !session.closed);
    };
    const call = () =>
      new Promise<void>((done) => {
        const stream = session.request({
          ":method": "POST",
          ":path": task.path,
          authorization: `Bearer ${task.token}`,
          "content-type": "application/json",
          accept: "application/json, text/event-stream",
        });
        counts.add("calls");
        stream.on("error", () => counts.add("reset"));
        stream.on("response", (headers) => counts.add(String(headers[":status"])));
        stream.on("close", () => done());
        if (task.reads) stream.resume();
        else stream.on("response", ({ ":status": status }) => (status === 200 ? null : stream.close()));
        stream.end(BODY);
      });
    for (let i = 0; i < streams; i += 1) {
      void one();
      await delay(40);
    }
    await closed;
    await delay(200);
  }
}
