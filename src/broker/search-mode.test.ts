// Search mode at the broker: two tools, whose answers and calls hold nothing that the caller may not use.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestBroker, type TestBroker } from "../../test/fakes/broker.ts";
import {
  ask,
  legacyBody,
  modernBody,
  modernHeaders,
  reasonOf,
  type CallParts,
} from "../../test/fakes/broker-client.ts";
import { NOTHING, tool } from "../../test/fakes/listing.ts";
import { startEraServer, type EraServer } from "../../test/fakes/mcp-server.ts";

const SERVERS = {
  git: [
    tool("search_code", { description: "Finds code in a repository", title: "Search" }),
    tool("read_file", { description: "Reads a file; search for it first" }),
    tool("delete_repo", { description: "hidden words about search" }),
  ],
  crm: [tool("search", { description: "Finds customers" }), tool("research", { description: "Asks around" })],
};
const VISIBLE = { ...NOTHING, tools: { git: ["read_file", "search_code"], crm: ["research", "search"] } };

let upstream: EraServer;
let broker: TestBroker;
beforeAll(async () => {
  upstream = await startEraServer("modern");
  const of = (name: keyof typeof SERVERS) => ({ url: upstream.url, offered: { tools: SERVERS[name] } });
  broker = await startTestBroker(
    { git: { ...of("git"), aliases: { read_file: "open" } }, crm: of("crm") },
    { search: true, virtualServers: { v: { servers: { crm: ["*"] } } } },
  );
});
afterAll(async () => {
  await broker.close();
  await upstream.close();
});

const listAt = (path: string) =>
  ask(broker, legacyBody("tools/list"), { path, wristbands: [broker.wristband("alice", NOTHING)] });

interface Found {
  readonly tools: readonly { readonly name: string; readonly inputSchema: object; readonly description?: string }[];
  readonly matches: number;
}

async function search(args: object, { path = "/mcp", visible = VISIBLE } = {}) {
  const body = legacyBody("tools/call", { name: "search_tools", arguments: args });
  const reply = await ask(broker, body, { path, wristbands: [broker.wristband("alice", visible)] });
  const { content, structuredContent } = (reply.message.result ?? {}) as {
    content?: { text: string }[];
    structuredContent?: Found;
  };
  if (structuredContent !== undefined) expect(JSON.parse(content?.[0]?.text ?? "")).toEqual(structuredContent);
  return { reply, found: structuredContent, names: structuredContent?.tools.map(({ name }) => name) };
}

describe("CL-10: the list", () => {
  it.each(["/mcp", "/servers/v/mcp"])("%s shows the two tools to everybody", async (path) => {
    const { tools } = (await listAt(path)).message.result as { tools: { name: string }[] };
    expect(tools.map(({ name }) => name)).toEqual(["search_tools", "call_tool"]);
  });
  it("a server's own endpoint stays as it is", async () => {
    const reply = await ask(broker, legacyBody("tools/list"), {
      path: "/servers/crm/mcp",
      wristbands: [broker.wristband("alice", VISIBLE)],
    });
    expect(reply.message.result).toMatchObject({ tools: [{ name: "research" }, { name: "search" }] });
  });
});

describe("search_tools", () => {
  it("answers with names, descriptions and schemas, the best first, the same each time", async () => {
    const first = await search({ query: "search" });
    expect(first.names).toEqual(["crm_search", "git_search_code", "crm_research", "git_open"]);
    expect(first.found?.matches).toBe(4);
    expect(first.found?.tools[1]).toEqual({
      name: "git_search_code",
      description: "Finds code in a repository",
      inputSchema: { type: "object" },
    });
    expect((await search({ query: "search" })).found).toEqual(first.found);
  });
  it("prefers tools that have all words", async () =>
    expect((await search({ query: "code search!" })).names?.[0]).toBe("git_search_code"));
  it("gives as many as asked for", async () =>
    expect((await search({ query: "search", limit: 2 })).found).toMatchObject({ matches: 4, tools: { length: 2 } }));
  it("without words, the first ones", async () => expect((await search({ query: "" })).found?.matches).toBe(4));

  it("what she may not use is in no byte of an answer, counts included", async () => {
    for (const query of ["delete repo hidden words", "delete_repo", "", "search"]) {
      const { reply } = await search({ query });
      expect(reply.text).not.toMatch(/delete|hidden/);
      const none = await search({ query }, { visible: NOTHING as typeof VISIBLE });
      expect(none.found).toEqual({ tools: [], matches: 0 });
    }
    expect((await search({ query: "search" }, { path: "/servers/v/mcp" })).names).toEqual([
      "crm_search",
      "crm_research",
    ]);
  });

  it("has the result type of the stateless revision", async () => {
    const reply = await ask(broker, modernBody("tools/call", { name: "search_tools", arguments: { query: "code" } }), {
      headers: modernHeaders("tools/call", "search_tools"),
      wristbands: [broker.wristband("alice", VISIBLE)],
    });
    expect(reply.message.result).toMatchObject({ resultType: "complete", structuredContent: { matches: 1 } });
  });

  it("needs a wristband for lists, and valid arguments", async () => {
    const body = legacyBody("tools/call", { name: "search_tools", arguments: { query: "x" } });
    expect(reasonOf((await broker.call({ server: "git", name: "search_code", path: "/mcp", body })).message)).toBe(
      "wristband_invalid",
    );
    expect((await search({ query: 1 })).reply.message.error?.code).toBe(-32602);
  });
});

describe("LA-03: call_tool", () => {
  const wrapped = (name: string, inner?: string) =>
    `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"call_tool","arguments":{"name":"${name}"${inner === undefined ? "" : `,"arguments":${inner}`}}}}`;
  const call = (parts: CallParts) => broker.call({ server: "git", name: "search_code", path: "/mcp", ...parts });

  it("is relayed as the call that it names, its arguments byte for byte", async () => {
    const inner = '{ "q" : 1.0, "deep":{"name":"x","arguments":[1e2]} }';
    const reply = await call({ body: wrapped("git_search_code", inner) });
    expect([reply.status, reply.message.id]).toEqual([200, 7]);
    const got = upstream.requests.at(-1)?.body ?? "";
    expect(got).toContain(`"name":"search_code","arguments":${inner}}`);
    expect(got).not.toContain("call_tool");
    expect(upstream.requests.at(-1)?.headers["mcp-name"]).toBe("search_code");
  });
  it("without arguments, with none", async () => {
    expect((await call({ body: wrapped("git_search_code") })).status).toBe(200);
    expect(JSON.parse(upstream.requests.at(-1)?.body ?? "")).toMatchObject({ params: { arguments: {} } });
  });
  it("by the new name of a renamed tool", async () => {
    expect((await call({ name: "read_file", body: wrapped("git_open") })).status).toBe(200);
    expect(JSON.parse(upstream.requests.at(-1)?.body ?? "")).toMatchObject({ params: { name: "read_file" } });
  });
  it.each([
    ["another tool than the wristband's", "git_read_file"],
    ["itself", "call_tool"],
    ["search_tools", "search_tools"],
    ["an unknown one", "nobody_x"],
    ["a renamed tool by its own name", "git_read_file"],
  ])("of %s reaches no server", async (_, name) => {
    const before = upstream.requests.length;
    const reply = await call({ body: wrapped(name, '{"name":"git_search_code"}') });
    expect([reply.status, reasonOf(reply.message)]).toEqual([403, "wristband_invalid"]);
    expect(upstream.requests).toHaveLength(before);
  });
  it("F18: the wristband is of the whole body", async () => {
    const body = wrapped("git_search_code", '{"a":1}');
    const claims = { body: "A".repeat(43) };
    expect(reasonOf((await call({ body, claims })).message)).toBe("wristband_invalid");
  });
  it("on a server's own endpoint it is a name like any other", async () => {
    const body = wrapped("search_code");
    const reply = await call({ path: "/servers/git/mcp", body });
    expect(reasonOf(reply.message)).toBe("wristband_invalid");
  });
});
