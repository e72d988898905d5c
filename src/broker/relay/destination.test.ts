// What was allowed for one URL of a server never goes to another, while serve and broker read a change of the configuration each
// at its own time.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { destinationOf } from "../../authz/destination.ts";
import { startTestBroker, type TestBroker } from "../../../test/fakes/broker.ts";
import { legacyBody, reasonOf, type CallParts } from "../../../test/fakes/broker-client.ts";
import { startEraServer, type EraServer } from "../../../test/fakes/mcp-server.ts";

let upstream: EraServer;
let broker: TestBroker;

beforeAll(async () => {
  upstream = await startEraServer("modern");
  broker = await startTestBroker({
    s: { url: upstream.url },
    t: { url: `${upstream.url}?t` },
    open: { headers: null },
  });
  expect((await broker.call()).status).toBe(200);
});
afterAll(async () => {
  await broker.close();
  await upstream.close();
});

/** Other URLs of the same server, near and far. */
const others = (url: string) => [
  "https://new.example.com/mcp",
  url.replace("127.0.0.1", "localhost"),
  url.replace("http:", "https:"),
  url.replace("/mcp", "/MCP"),
  `${url}/`,
  `${url}?`,
  `${url}?tenant=2`,
  url.replace(/:\d+/, ":80"),
];

async function reached(parts: CallParts) {
  const before = upstream.requests.length;
  const reply = await broker.call(parts);
  return { reply, arrived: upstream.requests.length - before };
}

describe("F21: 503, and nothing of the call reaches a server", () => {
  it("for every other URL, whatever is asked", async () => {
    for (const url of others(upstream.url))
      for (const parts of [{}, { method: "prompts/get" }, { method: "resources/read", name: "docs://a" }]) {
        const { reply, arrived } = await reached({ ...parts, claims: { destinations: { s: destinationOf(url) } } });
        const seen = [url, reply.status, reasonOf(reply.messages[0]), reply.headers["retry-after"], arrived];
        expect(seen).toEqual([url, 503, "credential_unavailable", "1", 0]);
      }
  });

  it.each<[string, () => CallParts]>([
    ["no destination", () => ({ claims: { destinations: {} } })],
    ["another server's", () => ({ claims: { destinations: { t: destinationOf(`${upstream.url}?t`) } } })],
    [
      "another server's under this name",
      () => ({ claims: { destinations: { s: destinationOf(`${upstream.url}?t`) } } }),
    ],
    [
      "a server without a credential, at another URL",
      () => ({
        server: "open",
        headers: { "x-upstream-authorization": undefined },
        claims: { destinations: { open: destinationOf("http://127.0.0.1:2/mcp") } },
      }),
    ],
  ])("%s", async (_, parts) => {
    const { reply, arrived } = await reached(parts());
    expect([reply.status, reasonOf(reply.messages[0]), arrived]).toEqual([503, "credential_unavailable", 0]);
  });
});

it.each([
  ["absent", undefined],
  ["no object", "s"],
  ["no digest", { s: "" }],
  ["in capitals", { s: "A".repeat(16) }],
  ["longer", { s: "a".repeat(17) }],
  ["a list", { s: ["a".repeat(16)] }],
])("a claim that is %s makes no wristband", async (_, destinations) => {
  const { reply, arrived } = await reached({ claims: { destinations } });
  expect([reply.status, reasonOf(reply.messages[0]), arrived]).toEqual([403, "wristband_invalid", 0]);
});

it("a list, a session and a refusal have none", async () => {
  const body = legacyBody("tools/list");
  const claims = { use: "list", body: undefined, destinations: { s: destinationOf(upstream.url) } };
  const reply = await broker.call({ body, claims });
  expect([reply.status, reasonOf(reply.messages[0])]).toEqual([403, "wristband_invalid"]);
});

it("passes again once both have read the same", async () => {
  const claims = { destinations: { s: destinationOf(upstream.url) } };
  expect((await reached({ claims })).reply.status).toBe(200);
});
