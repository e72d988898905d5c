// Headers of the configuration and of the client on their way to a server, and servers that leave the probe without an answer.
import { describe, expect, it } from "vitest";
import { reasonOf } from "../../../test/fakes/broker-client.ts";
import { relayFixture } from "../../../test/fakes/relay.ts";

const { setup } = relayFixture();

describe.each(["modern", "legacy", "sessions"] as const)("a server (%s)", (era) => {
  it("gets its fixed headers with each request, and the client's that pass with each of her call's", async () => {
    const more = { fixed: { "x-mcp-toolsets": "issues" }, passHeaders: ["x-mcp-readonly"] };
    const { upstream, broker } = await setup(era, undefined, more);
    const headers = { "x-mcp-readonly": "true", "x-mcp-toolsets": "all", "x-other": "canary" };
    expect((await broker.call({ headers })).status).toBe(200);
    expect(upstream.requests.length).toBeGreaterThan(1);
    for (const arrival of upstream.requests) {
      expect(arrival.headers).toMatchObject({ "x-mcp-toolsets": "issues", "x-mcp-readonly": "true" });
      expect(arrival.headers).not.toHaveProperty("x-other");
    }
  });

  it.each([
    ["twice", ["true", "false"]],
    ["with a byte beyond ASCII", "\u00e9"],
    ["empty", ""],
  ])("gets nothing when a header that may pass comes %s", async (_, value) => {
    const { upstream, broker } = await setup(era, undefined, { passHeaders: ["x-mcp-readonly"] });
    const reply = await broker.call({ headers: { "x-mcp-readonly": value } });
    expect([reply.status, reasonOf(reply.message)]).toEqual([400, "header_malformed"]);
    expect(upstream.requests).toEqual([]);
  });
});

it("B33: a session that began without a client's restriction is not the one that has it", async () => {
  const { upstream, broker } = await setup("sessions", undefined, { passHeaders: ["x-mcp-readonly"] });
  const restricted = { headers: { "x-mcp-readonly": "true" } };
  for (const parts of [{}, restricted, {}, restricted]) await broker.call(parts);
  const sessions = upstream.of("tools/call").map(({ headers }) => headers["mcp-session-id"]);
  expect(sessions[0]).toBe(sessions[2]);
  expect(sessions[1]).toBe(sessions[3]);
  expect(new Set(sessions).size).toBe(2);
});

it("D11: a server that leaves server/discover without an answer is greeted as one of an older revision", async () => {
  const { upstream, broker } = await setup("sessions", undefined, { timeoutMs: 1500 });
  upstream.onAny = ({ method }) => method === "server/discover";
  expect((await broker.call()).status).toBe(200);
  expect((await broker.call()).status).toBe(200);
  expect(upstream.of("server/discover")).toHaveLength(1);
});

it("D11: a server that opens a stream for server/discover and says nothing is greeted, too", async () => {
  const { upstream, broker } = await setup("sessions", undefined, { timeoutMs: 1500 });
  upstream.onAny = ({ method }, response) => {
    if (method !== "server/discover") return false;
    response.writeHead(200, { "content-type": "text/event-stream" }).write(": wait\n\n");
    return true;
  };
  expect((await broker.call()).status).toBe(200);
});

it("D11: a server that answers {} to what it does not know is greeted", async () => {
  const { upstream, broker } = await setup("legacy");
  upstream.onAny = ({ method, message }, response) => {
    if (method !== "server/discover") return false;
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ jsonrpc: "2.0", id: message?.id, result: {} }));
    return true;
  };
  expect((await broker.call()).status).toBe(200);
  expect(upstream.of("initialize")).toHaveLength(1);
});
