// Requests that a server sends on the stream of a call.
import { describe, expect, it, vi } from "vitest";
import { event, result, type Arrival, type OnCall } from "../../../test/fakes/mcp-server.ts";
import { relayFixture } from "../../../test/fakes/relay.ts";

const { setup } = relayFixture();

/** Asks on the call's stream, and ends the call once it was answered. */
const asking =
  (method: string, id: string | number = "ask-1"): OnCall =>
  (arrival, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(event({ jsonrpc: "2.0", id, method, params: {} }));
    calls.push(() => response.end(event(result(arrival))));
  };
const calls: (() => void)[] = [];

async function serverThat(onCall: OnCall) {
  const parts = await setup("sessions", onCall);
  const answers: Arrival[] = [];
  parts.upstream.onAny = (arrival, response) => {
    if (arrival.method !== "" || arrival.http !== "POST") return false;
    answers.push(arrival);
    response.writeHead(202).end();
    for (const end of calls.splice(0)) end();
    return true;
  };
  return { ...parts, answers };
}

describe("defect 1: a request of a server is answered at once", () => {
  it.each(["elicitation/create", "sampling/createMessage", "roots/list", "unheard/of"])(
    "%s with -32601, where nobody can answer it",
    async (method) => {
      const { broker, answers } = await serverThat(asking(method));
      const reply = await broker.call();
      expect(reply.messages).toMatchObject([{ id: 1, result: {} }]);
      expect(answers.map(({ body }) => JSON.parse(body) as object)).toMatchObject([
        { jsonrpc: "2.0", id: "ask-1", error: { code: -32_601 } },
      ]);
    },
  );

  it("ping with its result, in the session and with the credential of the call", async () => {
    const { upstream, broker, answers } = await serverThat(asking("ping", 0));
    expect((await broker.call()).status).toBe(200);
    const [answer] = answers;
    expect(JSON.parse(answer?.body ?? "")).toEqual({ jsonrpc: "2.0", id: 0, result: {} });
    const [call] = upstream.of("tools/call");
    for (const name of ["mcp-session-id", "authorization", "mcp-protocol-version"])
      expect([name, answer?.headers[name]]).toEqual([name, call?.headers[name]]);
    expect(answer?.headers["mcp-session-id"]).toBeTypeOf("string");
  });

  it("also for a client that takes no streams", async () => {
    const { broker, answers } = await serverThat(asking("ping"));
    const reply = await broker.call({ headers: { accept: "application/json" } });
    expect([reply.status, answers.length]).toEqual([200, 1]);
  });

  it("a server that takes no answer fails nobody but itself", async () => {
    const { upstream, broker } = await serverThat((arrival, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(event({ jsonrpc: "2.0", id: 1, method: "ping" }));
      response.end(event(result(arrival)));
    });
    upstream.onAny = ({ method, http }, response) => {
      if (method !== "" || http !== "POST") return false;
      response.destroy();
      return true;
    };
    expect((await broker.call()).messages).toMatchObject([{ id: 1, result: {} }]);
    await vi.waitFor(() => expect(broker.observed).toEqual([["s", "answered"]]));
  });
});
