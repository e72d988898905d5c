// A broker in a process of its own, for measuring its memory: `node --expose-gc idle-broker.ts URL CALLERS BODY…`. It sends its port, the
// wristbands of so many callers, and one for a call of the tool `echo` with each body to its parent, and its memory whenever it is asked. I/O.
import { startTestBroker } from "./broker.ts";
import { tool } from "./listing.ts";
import { bodyDigest } from "../../src/wristband/claims.ts";
import { boundFor, claimsOf, wristband } from "./wristband.ts";

/** What the process says at first. */
export interface IdleBroker {
  readonly port: number;
  /** Of each caller: for lists, and for her session. */
  readonly callers: readonly { readonly list: string; readonly session: string }[];
  /** In the order of the bodies. */
  readonly calls: readonly string[];
}

/** Bytes that are in use behind a collection of garbage. */
export interface IdleMemory {
  readonly heap: number;
  readonly external: number;
  readonly resident: number;
}

const [url = "", count = "", ...bodies] = process.argv.slice(2);
const broker = await startTestBroker(
  { s: { url, maxResponseBytes: 1024 ** 3, offered: { tools: [tool("echo")] } } },
  { clientSessions: { max: 20_000 } },
);
const callers = Array.from({ length: Number(count) }, (_, i) => {
  const who = { sub: `user-${i}` };
  const band = (use: string, more: object = {}) => wristband(claimsOf({ ...who, ...more, use }));
  return { list: band("list", { tools: { s: ["echo"] } }), session: band("session") };
});
const calls = bodies.map((body) => {
  const named = { tools: { s: ["echo"] }, ...boundFor(broker.port, ["s"]) };
  return wristband(
    claimsOf({ use: "call", body: bodyDigest(Buffer.from(body)), ...named, exp: Math.floor(Date.now() / 1000) + 3000 }),
  );
});
process.send?.({ port: broker.port, callers, calls } satisfies IdleBroker);
process.on("message", () => {
  for (let i = 0; i < 3; i += 1) globalThis.gc?.();
  const { heapUsed, external, rss } = process.memoryUsage();
  process.send?.({ heap: heapUsed, external, resident: rss } satisfies IdleMemory);
});
process.on("disconnect", () => process.exit());
