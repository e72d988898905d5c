// A client's stream shows signs of life, whatever its server does.
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { open, replyOf } from "../../../test/fakes/broker-client.ts";
import { startTestBroker } from "../../../test/fakes/broker.ts";
import { event, json, result, startEraServer, stream, type OnCall } from "../../../test/fakes/mcp-server.ts";

const KEEP_ALIVE_MS = 100;
const IDLE_MS = 400;
const CALL_MS = 1200;

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

/** A balancer that closes a connection without a byte for so long. */
async function startBalancer(target: number): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(target, "127.0.0.1");
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.setTimeout(IDLE_MS, () => (client.destroy(), upstream.destroy()));
      from.on("error", () => to.destroy()).on("close", () => to.destroy());
      from.on("data", (chunk) => {
        to.write(chunk);
        to.setTimeout(IDLE_MS); // either direction is a sign of life
      });
    }
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  closing.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((done) => server.close(done));
  });
  return (server.address() as AddressInfo).port;
}

async function setup(onCall: OnCall) {
  const upstream = await startEraServer("modern", onCall);
  const broker = await startTestBroker({ s: { url: upstream.url } }, { keepAliveMs: KEEP_ALIVE_MS });
  closing.push(
    () => upstream.close(),
    () => broker.close(),
  );
  return { broker, port: await startBalancer(broker.port) };
}

describe("a balancer with an idle limit does not end a call", () => {
  const answerLate =
    (comments: boolean): OnCall =>
    (arrival, response) => {
      stream(response, [": hi\n\n"], { end: false });
      const beat = setInterval(() => comments && response.write(": ping\n\n"), 50);
      setTimeout(() => (clearInterval(beat), response.end(event(result(arrival)))), CALL_MS);
    };
  it.each<[string, OnCall]>([
    ["streams comments", answerLate(true)],
    ["streams nothing for long", answerLate(false)],
    ["has sent no head", (a, r) => void setTimeout(() => stream(r, [event(result(a))]), CALL_MS)],
    ["answers in JSON", (a, r) => void setTimeout(() => json(r, 200, result(a)), CALL_MS)],
  ])("whose server %s", async (_, onCall) => {
    const { port } = await setup(onCall);
    const reply = await replyOf(await open(port, {}));
    expect([reply.headers["content-type"], reply.messages.map(({ id }) => id)]).toEqual(["text/event-stream", [1]]);
    expect(reply.text.match(/^:/gm)?.length).toBeGreaterThanOrEqual(CALL_MS / KEEP_ALIVE_MS / 3);
  });
  it("a refusal comes as the last event", async () => {
    const { port } = await setup((_, r) => void setTimeout(() => json(r, 503, "no"), CALL_MS));
    const { messages } = await replyOf(await open(port, {}));
    expect(messages).toEqual([expect.objectContaining({ id: 1, error: expect.anything() as unknown })]);
  });
  it("a client that takes JSON only gets no stream", async () => {
    const { broker } = await setup((a, r) => void setTimeout(() => json(r, 200, result(a)), 3 * KEEP_ALIVE_MS));
    const reply = await replyOf(await open(broker.port, { headers: { accept: "application/json" } }));
    expect([reply.headers["content-type"], reply.messages.length]).toEqual(["application/json", 1]);
  });
  it("a call that ends soon is answered as its server did", async () => {
    const { broker } = await setup((a, r) => json(r, 200, result(a)));
    expect((await replyOf(await open(broker.port, {}))).headers["content-type"]).toBe("application/json");
  });
});
