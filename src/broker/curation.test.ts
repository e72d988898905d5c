// Curation at the broker: whatever a wristband says, what a server does not offer is neither shown nor called.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestBroker, type TestBroker } from "../../test/fakes/broker.ts";
import { ask, legacyBody, modernBody, reasonOf } from "../../test/fakes/broker-client.ts";
import { NOTHING, tool } from "../../test/fakes/listing.ts";
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

const virtualServers = { v: { servers: { t: ["find", "echo"] } }, w: { servers: { s: ["*"], t: ["*"] } } };

let upstream: EraServer;
let broker: TestBroker;
beforeAll(async () => {
  upstream = await startEraServer("modern");
  const curation = { tools: without, prompts: without, resources: without };
  const t = { url: upstream.url, offered: { tools: [tool("find"), tool("hidden_tool")] } };
  broker = await startTestBroker({ s: { url: upstream.url, offered: OFFERED, curation }, t }, { virtualServers });
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

describe("CF-25: the endpoint of a virtual server", () => {
  const everything = { ...ALL, tools: { ...ALL.tools, t: ["echo", "find", "hidden_tool"] } };
  const toolsAt = async (path: string) => {
    const reply = await ask(broker, legacyBody("tools/list"), {
      path,
      wristbands: [broker.wristband("a", everything)],
    });
    return ((reply.message.result?.["tools"] ?? []) as { name: string }[]).map(({ name }) => name);
  };

  it("lists its subset only, with the servers' prefixes, whatever the wristband says", async () => {
    expect(await toolsAt("/servers/v/mcp")).toEqual(["t_find"]);
    expect(await toolsAt("/servers/w/mcp")).toEqual(["s_read", "t_find", "t_hidden_tool"]);
    expect(await toolsAt("/mcp")).toEqual(["s_read", "t_find", "t_hidden_tool"]);
  });

  it("calls its subset only", async () => {
    const call = (name: string, path = "/servers/v/mcp") => {
      const body = legacyBody("tools/call", { name: `t_${name}` });
      return broker.call({ server: "t", name, path, body });
    };
    expect((await call("echo")).status).toBe(200);
    expect(reasonOf((await call("find2")).messages[0])).toBe("wristband_invalid");
    expect((await call("find2", "/servers/w/mcp")).status).toBe(200);
    expect(JSON.parse(upstream.requests.at(-1)?.body ?? "")).toMatchObject({ params: { name: "find2" } });
  });

  it("B44: a cursor of one endpoint is none of another with the same list", async () => {
    const narrow = await startTestBroker(
      { t: { offered: { tools: [tool("a"), tool("b")] } } },
      { virtualServers: { v: { servers: { t: ["*"] } } }, pageEntries: 1 },
    );
    const wristbands = [narrow.wristband("a", { tools: { t: ["a", "b"] }, prompts: {}, resources: {} })];
    const page = (path: string, params: object) => ask(narrow, legacyBody("tools/list", params), { path, wristbands });
    const cursor = (await page("/mcp", {})).message.result?.["nextCursor"];
    expect((await page("/mcp", { cursor })).message.result).toMatchObject({ tools: [{ name: "t_b" }] });
    expect((await page("/servers/v/mcp", { cursor })).message.error?.code).toBe(-32602);
    await narrow.close();
  });
});

describe("CL-07: a renamed tool", () => {
  const aliases = { echo: "say", other: "echo_2" };
  const offered = { tools: [tool("echo", { description: "echoes" }), tool("say"), tool("plain")] };
  let renaming: TestBroker;
  beforeAll(async () => {
    renaming = await startTestBroker({ s: { url: upstream.url, offered, aliases } });
  });
  afterAll(() => renaming.close());

  it("is listed under its new name on both endpoints, and what clashes with it is left out", async () => {
    const wristbands = [renaming.wristband("a", { ...NOTHING, tools: { s: ["echo", "plain", "say"] } })];
    const toolsAt = async (path: string) =>
      (await ask(renaming, legacyBody("tools/list"), { path, wristbands })).message.result?.["tools"];
    expect(await toolsAt("/servers/s/mcp")).toEqual([tool("say", { description: "echoes" }), tool("plain")]);
    expect(await toolsAt("/mcp")).toEqual([tool("s_say", { description: "echoes" }), tool("s_plain")]);
  });

  it.each([
    ["/servers/s/mcp", "say"],
    ["/mcp", "s_say"],
  ])("is called on %s by %s, and its server gets its own name, in body and header alike", async (path, shown) => {
    const body = modernBody("tools/call", { name: shown, arguments: { a: 1 } });
    const mirrors = { "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": shown };
    const reply = await renaming.call({ server: "s", name: "echo", path, body, headers: mirrors });
    expect(reply.status).toBe(200);
    const got = upstream.requests.at(-1);
    expect(JSON.parse(got?.body ?? "")).toMatchObject({ params: { name: "echo", arguments: { a: 1 } } });
    expect(got?.headers["mcp-name"]).toBe("echo");
  });

  it.each([
    ["/servers/s/mcp", "echo"],
    ["/mcp", "s_echo"],
  ])("is not called on %s by %s", async (path, shown) => {
    const before = upstream.requests.length;
    const reply = await renaming.call({ name: "echo", path, body: legacyBody("tools/call", { name: shown }) });
    expect([reply.status, reasonOf(reply.messages[0])]).toEqual([403, "wristband_invalid"]);
    expect(upstream.requests).toHaveLength(before);
  });
});
