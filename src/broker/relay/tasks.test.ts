import { afterEach, describe, expect, it } from "vitest";
import { startTestBroker, type TestBroker } from "../../../test/fakes/broker.ts";
import { event, json, result, startEraServer, stream, type OnCall } from "../../../test/fakes/mcp-server.ts";
import { ask, legacyBody, modernBody, modernHeaders } from "../../../test/fakes/broker-client.ts";
import { tool } from "../../../test/fakes/listing.ts";
import { createTaskIds } from "../../authz/task-ids.ts";
import { createSealer } from "../../secret/seal.ts";

const ids = createTaskIds(createSealer([{ id: "k", key: Buffer.alloc(32, 1) }]));
const ALICE = { issuer: "https://idp.example.com", subject: "alice", client: "" };
const OWN = "the-servers-own";
const TASK = { server: "s", tool: "echo", id: OWN };
const EXTENSION = "io.modelcontextprotocol/tasks";
const metaWith = (extensions: object) => ({
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": { sampling: {}, extensions },
});
const KNOWS = metaWith({ "example.com/other": { a: [1] }, [EXTENSION]: {} });

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

async function setup(onCall: OnCall, tasks: typeof ids | null = ids) {
  const upstream = await startEraServer("modern", onCall);
  const broker = await startTestBroker({ s: { url: upstream.url } }, tasks === null ? {} : { tasks });
  closing.push(
    () => upstream.close(),
    () => broker.close(),
  );
  return { upstream, broker };
}

const made: OnCall = (arrival, response) =>
  json(response, 200, result(arrival, { resultType: "task", taskId: OWN, status: "working", ttlMs: null }));
const call = (broker: TestBroker, meta: object) =>
  broker.call({ modern: true, params: { arguments: {}, _meta: meta } });
const about = (broker: TestBroker, taskId: string, more: object = {}, tool = "echo") =>
  broker.call({
    modern: true,
    method: "tasks/get",
    params: { taskId },
    claims: { tools: { s: [tool] } },
    headers: { "mcp-name": taskId },
    ...more,
  });

describe("F78: a task that a call makes", () => {
  it.each<[string, OnCall]>([
    ["as JSON", made],
    [
      "as an event, with the id first",
      (arrival, response) => stream(response, [event(result(arrival, { taskId: OWN, resultType: "task" }))]),
    ],
  ])("passes to a client that knows tasks, under a sealed id (%s)", async (_, onCall) => {
    const { upstream, broker } = await setup(onCall);
    const reply = await call(broker, KNOWS);
    const { taskId } = (reply.messages[0]?.["result"] ?? {}) as { taskId: string };
    expect(JSON.stringify(reply.messages)).not.toContain(OWN);
    expect(ids.open(ALICE, taskId)).toEqual(TASK);
    expect(ids.open({ ...ALICE, subject: "bob" }, taskId)).toBeNull();
    expect(upstream.of("tools/call")[0]?.message?.params?.["_meta"]).toEqual(KNOWS);
  });

  it("passes to no other client: she could not handle it", async () => {
    const { broker } = await setup(made);
    for (const meta of [metaWith({}), metaWith({ "example.com/other": {} })]) {
      const reply = await call(broker, meta);
      expect([reply.status, reply.messages[0]?.["error"]]).toMatchObject([400, { code: -32_021 }]);
      expect(JSON.stringify(reply.messages)).not.toContain(OWN);
    }
  });

  it("is not offered by a broker without keys: the server does not read that the client knows tasks", async () => {
    const { upstream, broker } = await setup(made, null);
    expect((await call(broker, KNOWS)).status).toBe(400);
    expect(upstream.of("tools/call")[0]?.message?.params?.["_meta"]).toEqual(
      metaWith({ "example.com/other": { a: [1] } }),
    );
  });
});

describe("F78: a request about a task", () => {
  const task: OnCall = (arrival, response) =>
    json(response, 200, result(arrival, { resultType: "complete", taskId: OWN, status: "working" }));

  it("reaches the server with its own id, and comes back with the client's", async () => {
    const { upstream, broker } = await setup(task);
    const sealed = ids.seal(ALICE, TASK);
    const reply = await about(broker, sealed);
    expect(reply.messages[0]?.["result"]).toEqual({ resultType: "complete", taskId: sealed, status: "working" });
    const [arrived] = upstream.of("tasks/get");
    expect(arrived?.headers).toMatchObject({ "mcp-name": OWN, "mcp-method": "tasks/get" });
    expect(arrived?.message?.params).toMatchObject({ taskId: OWN });
  });

  it.each<[string, string, object, string?]>([
    ["another caller's", ids.seal({ ...ALICE, subject: "bob" }, TASK), {}],
    ["another client's of hers", ids.seal({ ...ALICE, client: "other" }, TASK), {}],
    ["the server's own", OWN, {}],
    ["one of another tool", ids.seal(ALICE, { ...TASK, tool: "drop" }), {}],
    ["one of another server", ids.seal(ALICE, { ...TASK, server: "other" }), {}],
    ["one with the wristband of its id", ids.seal(ALICE, TASK), {}, "the-servers-own"],
    ["one with a wristband for lists", ids.seal(ALICE, TASK), { claims: { use: "list", tools: { s: ["echo"] } } }],
  ])("%s reaches no server", async (_, taskId, more, tool) => {
    const { upstream, broker } = await setup(task);
    expect((await about(broker, taskId, more, tool)).status).toBe(403);
    expect(upstream.of("tasks/get")).toEqual([]);
  });

  it("an answer about another task is none", async () => {
    const { broker } = await setup((arrival, response) =>
      json(response, 200, result(arrival, { resultType: "complete", taskId: "another", status: "working" })),
    );
    const reply = await about(broker, ids.seal(ALICE, TASK));
    expect(reply.status).toBe(502);
    expect(JSON.stringify(reply.messages)).not.toContain("another");
  });
});

it.each(["notifications/tasks", "notifications/tasks/status"])(
  "F78: %s on the stream of a call goes to nobody: it has the server's own id, which is nobody's here",
  async (method) => {
    const notice = { jsonrpc: "2.0", method, params: { taskId: OWN, status: "working" } };
    const { broker } = await setup((arrival, response) =>
      stream(response, [event(notice), event(result(arrival, { resultType: "complete", content: [] }))]),
    );
    const reply = await call(broker, KNOWS);
    expect(reply.messages).toEqual([expect.objectContaining({ result: { resultType: "complete", content: [] } })]);
  },
);

describe("F78: the extension is announced", () => {
  const offered = { tools: [tool("echo")] };
  const withTasks = { does: { offered: { ...offered, tasks: true } }, not: { offered } };
  const announced = async (servers: Parameters<typeof startTestBroker>[0], path: string, tasks = true) => {
    const broker = await startTestBroker(servers, tasks ? { tasks: ids } : {});
    closing.push(() => broker.close());
    const wristbands = [broker.wristband("alice", { tools: {}, prompts: {}, resources: {} })];
    const asked = { wristbands, path, headers: modernHeaders("server/discover") };
    const { message } = await ask(broker, modernBody("server/discover"), asked);
    const older = await ask(broker, legacyBody("initialize", { protocolVersion: "2025-11-25" }), { wristbands, path });
    expect(older.message.result?.["capabilities"]).not.toHaveProperty("extensions");
    expect(message.result).toHaveProperty("capabilities.tools");
    return (message.result?.["capabilities"] as { extensions?: object } | undefined)?.extensions;
  };

  it("where the server of the endpoint declares it, and where one of several does", async () => {
    for (const path of ["/servers/does/mcp", "/mcp"])
      expect(await announced(withTasks, path)).toEqual({ [EXTENSION]: {} });
  });

  it("nowhere else, and nowhere without keys", async () => {
    expect(await announced(withTasks, "/servers/not/mcp")).toBeUndefined();
    expect(await announced({ not: { offered } }, "/mcp")).toBeUndefined();
    for (const path of ["/servers/does/mcp", "/mcp"]) expect(await announced(withTasks, path, false)).toBeUndefined();
  });
});
