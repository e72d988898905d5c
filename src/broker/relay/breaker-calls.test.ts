// Calls to servers that fail: refused at once for a while, each server for itself.
import { afterEach, describe, expect, it } from "vitest";
import { reasonOf, type BrokerReply } from "../../../test/fakes/broker-client.ts";
import { startTestBroker } from "../../../test/fakes/broker.ts";
import { json, startEraServer, stream, type OnCall } from "../../../test/fakes/mcp-server.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

async function setup(era: "modern" | "sessions", timeoutMs = 300) {
  const bad = await startEraServer(era);
  const good = await startEraServer(era);
  const broker = await startTestBroker(
    { s: { url: bad.url, timeoutMs }, good: { url: good.url } },
    { breaker: { failures: 3, coolDownMs: 60_000 } },
  );
  closing.push(
    () => bad.close(),
    () => good.close(),
    () => broker.close(),
  );
  const call = (sub = "alice", server = "s") => broker.call({ server, claims: { sub } });
  return { bad, broker, call };
}

const status =
  (code: number): OnCall =>
  (_, response) =>
    json(response, code, "{}");
const shape = (reply: BrokerReply) => [reply.status, reasonOf(reply.message), reply.headers["retry-after"]];
const OPEN = [503, "upstream_unavailable", "60"];

describe.each(["modern", "sessions"] as const)("CF-20, P8.4-1: a server (%s)", (era) => {
  it("MS-16: that is gone is refused to everybody at once, with Retry-After, then tried by one call", async () => {
    const { bad, broker, call } = await setup(era);
    await bad.close();
    for (let i = 0; i < 3; i += 1) expect((await call()).status).toBe(502);
    expect([shape(await call()), shape(await call("bob"))]).toEqual([OPEN, OPEN]);
    expect((await call("bob", "good")).status).toBe(200);
    expect(broker.log.at(-1)).toContain('"relayed"');
    broker.ahead = 61_000;
    expect((await call("bob")).status).toBe(502);
    expect(shape(await call())).toEqual(OPEN);
  });

  it.each<[string, OnCall, number]>([
    ["hangs", () => {}, 504],
    ["answers 500", status(500), 502],
    ["answers 503", status(503), 502],
    ["breaks off", (_, response) => void response.destroy(), 502],
  ])("that %s for one caller is refused to her, and comes back by itself", async (_, onCall, first) => {
    const { bad, broker, call } = await setup(era);
    const well = bad.onCall;
    bad.onCall = onCall;
    for (let i = 0; i < 3; i += 1) expect((await call()).status).toBe(first);
    const before = bad.of("tools/call").length;
    expect(shape(await call())).toEqual(OPEN);
    expect(bad.of("tools/call")).toHaveLength(before);
    bad.onCall = well;
    expect((await call("bob")).status).toBe(200);
    broker.ahead = 61_000;
    expect((await call()).status).toBe(200);
    expect((await call()).status).toBe(200);
  });

  it.each<[string, OnCall]>([
    ["401", status(401)],
    ["403", status(403)],
    ["429", status(429)],
    ["404", status(404)],
    [
      "an error of its own",
      (a, r) => json(r, 200, { jsonrpc: "2.0", id: a.message?.id, error: { code: 1, message: "" } }),
    ],
    ["a stream that breaks off after its head", (_, r) => stream(r, [": x\n\n"])],
  ])("that answers %s is called on", async (_, onCall) => {
    const { bad, call } = await setup(era);
    bad.onCall = onCall;
    for (let i = 0; i < 8; i += 1) expect(shape(await call())).not.toEqual(OPEN);
    expect(bad.of("tools/call").length).toBeGreaterThanOrEqual(8);
  });
});
