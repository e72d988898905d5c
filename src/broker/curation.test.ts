// Curation at the broker: whatever a wristband says, what a server does not offer is neither shown nor called.
import { afterAll, beforeAll, expect, it } from "vitest";
import { startTestBroker, type TestBroker } from "../../test/fakes/broker.ts";
import { ask, legacyBody, reasonOf } from "../../test/fakes/broker-client.ts";
import { tool } from "../../test/fakes/listing.ts";
import { startEraServer, type EraServer } from "../../test/fakes/mcp-server.ts";

const OFFERED = {
  tools: [tool("read"), tool("hidden_tool")],
  prompts: [{ name: "summary" }, { name: "hidden_prompt" }],
  resources: [
    { uri: "docs://a", name: "a" },
    { uri: "hidden://b", name: "b" },
  ],
  templates: [{ uriTemplate: "hidden://{id}", name: "c" }],
};
const without = { allow: ["*"], deny: ["hidden*"] };
const ALL = {
  tools: { s: ["hidden_tool", "read"] },
  prompts: { s: ["hidden_prompt", "summary"] },
  resources: { s: ["docs://a", "hidden://b", "hidden://{id}"] },
};

let upstream: EraServer;
let broker: TestBroker;
beforeAll(async () => {
  upstream = await startEraServer("modern");
  const curation = { tools: without, prompts: without, resources: without };
  broker = await startTestBroker({ s: { url: upstream.url, offered: OFFERED, curation } });
});
afterAll(async () => {
  await broker.close();
  await upstream.close();
});

it("shows nothing of it, though the wristband names it", async () => {
  const wristbands = [broker.wristband("alice", ALL)];
  for (const path of ["/mcp", "/servers/s/mcp"])
    for (const method of ["tools/list", "prompts/list", "resources/list", "resources/templates/list"]) {
      const reply = await ask(broker, legacyBody(method), { path, wristbands });
      expect([reply.status, reply.text]).toEqual([200, expect.not.stringContaining("hidden")]);
    }
});

it("calls nothing of it, though the wristband is for that call", async () => {
  const calls = [
    { name: "hidden_tool" },
    { name: "hidden_tool", path: "/mcp" },
    { name: "hidden_prompt", method: "prompts/get" },
    { name: "hidden://b", method: "resources/read" },
  ];
  for (const call of calls) {
    const reply = await broker.call(call);
    expect([reply.status, reasonOf(reply.messages[0])]).toEqual([403, "wristband_invalid"]);
  }
  expect(upstream.requests).toEqual([]);
  expect((await broker.call({ name: "echo" })).status).toBe(200);
});
