// The revision that a server of both eras is spoken to in: that of the client who has a session.
import { expect, it } from "vitest";
import { startTestBroker } from "../../../test/fakes/broker.ts";
import { json, result, startEraServer, type FakeEra } from "../../../test/fakes/mcp-server.ts";
import { relayFixture } from "../../../test/fakes/relay.ts";
import { SessionClient } from "../../../test/fakes/session-client.ts";

const { closing } = relayFixture();
const LOG_LEVEL = "io.modelcontextprotocol/logLevel";

/** @param alsoNewer an older server that speaks 2026-07-28, too */
async function setup(era: FakeEra, alsoNewer = false) {
  const upstream = await startEraServer(era);
  upstream.onAny = (arrival, response) => {
    if (!alsoNewer || arrival.headers["mcp-protocol-version"] !== "2026-07-28") return false;
    const isDiscover = arrival.method === "server/discover";
    const found = isDiscover ? { supportedVersions: ["2026-07-28", "2025-11-25"] } : { content: [] };
    json(response, 200, result(arrival, { resultType: "complete", ...found }));
    return true;
  };
  const broker = await startTestBroker({ s: { url: upstream.url } }, { clientSessions: {} });
  closing.push(
    () => upstream.close(),
    () => broker.close(),
  );
  const calls = () => upstream.of("tools/call").map(({ headers }) => headers["mcp-protocol-version"]);
  const greetings = () => upstream.of("initialize").length;
  const begin = async () => {
    const client = new SessionClient({ port: broker.port });
    await client.begin();
    return client;
  };
  const levels = () =>
    upstream.of("tools/call").map(({ params }) => (params["_meta"] as Record<string, unknown>)[LOG_LEVEL]);
  return { broker, begin, calls, greetings, levels };
}

it("a client with a session gets the older revision, and one without the newer", async () => {
  const { broker, begin, calls } = await setup("sessions", true);
  const client = await begin();
  expect((await client.call()).status).toBe(200);
  expect((await broker.call({ modern: true })).status).toBe(200);
  expect((await broker.call()).status).toBe(200);
  expect(calls()).toEqual(["2025-06-18", "2026-07-28", "2026-07-28"]);
});

it("a server of the newer revision alone is greeted once, in vain, and called in its own", async () => {
  const { begin, calls, greetings } = await setup("modern");
  const [one, two] = [await begin(), await begin()];
  for (const client of [one, one, two]) expect((await client.call()).status).toBe(200);
  expect(calls()).toEqual(["2026-07-28", "2026-07-28", "2026-07-28"]);
  expect(greetings()).toBe(1);
});

it("the level of log messages that she sets for her session is in each request to a server of the newer revision", async () => {
  const { begin, levels } = await setup("modern");
  const [one, two] = [await begin(), await begin()];
  await one.call();
  await one.setLevel("error");
  for (const client of [one, two]) await client.call();
  expect(levels()).toEqual([undefined, "error", undefined]);
});
