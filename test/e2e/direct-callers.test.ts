// F7: what one caller can hold of a server to which Envoy sends calls straight, and for how long.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { answerOk, json, result, startEraServer, type EraServer } from "../fakes/mcp-server.ts";
import { startLab, type Lab } from "../../demo/lab.ts";
import { freePorts } from "../../demo/ports.ts";
import { legacy, type Reply } from "./client.ts";

const CALLS_PER_CALLER = 8;
const TIMEOUT_MS = 3000;

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-direct-"));
let lab: Lab;
let server: EraServer;

beforeAll(async () => {
  server = await startEraServer("legacy");
  lab = await startLab({
    folder,
    ports: await freePorts(),
    policyFolder: null,
    progress: () => {},
    config: (config) => {
      config["limits"] = { callsPerCaller: CALLS_PER_CALLER };
      const servers = config["servers"] as Record<string, Record<string, unknown>>;
      servers["demo"] = { ...servers["demo"], url: server.url };
      servers["tickets"] = { ...servers["demo"], timeoutMs: TIMEOUT_MS };
    },
  });
});
afterAll(async () => {
  await lab.stop();
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

const call = async (person: string, name: string, at = "tickets"): Promise<Reply> =>
  legacy(
    lab.gateway,
    "tools/call",
    { name, arguments: {} },
    { token: await lab.idp.mint(person), path: `/servers/${at}/mcp` },
  );
const count = (replies: readonly Reply[], status: number) => replies.filter((reply) => reply.status === status).length;

it("a caller has callsPerCaller calls under way, not one more; another caller is served meanwhile", async () => {
  server.onCall = (arrival, response) => {
    if (arrival.message?.params?.["name"] !== "search_hang") answerOk(arrival, response);
  };
  const hanging = Promise.all(Array.from({ length: 3 * CALLS_PER_CALLER }, () => call("alice", "search_hang")));
  await vi.waitFor(() => expect(server.of("tools/call").length).toBe(CALLS_PER_CALLER), 5000);
  const carol = await call("carol", "search_quick");
  expect(carol.status).toBe(200);
  const alice = await call("alice", "search_quick");
  expect([alice.status, alice.headers.get("retry-after"), alice.message]).toEqual([
    429,
    "1",
    { jsonrpc: "2.0", id: null, error: { code: 429, message: "Too many calls at a time, try again later" } },
  ]);

  const replies = await hanging; // each ends: nothing hangs longer than timeoutMs
  expect([count(replies, 504), count(replies, 429)]).toEqual([CALLS_PER_CALLER, 2 * CALLS_PER_CALLER]);
  expect(replies.find(({ status }) => status === 504)?.message).toMatchObject({ error: { code: 504 } });
  expect((await call("alice", "search_quick")).status).toBe(200);
});

it("a stream that flows outlives timeoutMs, one that falls silent does not", async () => {
  server.onCall = (arrival, response) => {
    const silent = arrival.message?.params?.["name"] === "search_silent";
    response.writeHead(200, { "content-type": "text/event-stream" });
    let events = 0;
    const timer = setInterval(() => {
      events += 1;
      if (events < 5) response.write(": on its way\n\n");
      else if (!silent) response.end(`data: ${JSON.stringify(result(arrival))}\n\n`);
      if (events === 5) clearInterval(timer);
    }, TIMEOUT_MS / 3);
  };
  const flowing = await call("alice", "search_flowing");
  expect([flowing.status, flowing.text]).toEqual([200, expect.stringContaining('"result"')]);
  await expect(call("alice", "search_silent")).rejects.toThrow();
});

it("a slow answer comes, though the body of a request may not rest that long", async () => {
  server.onCall = (arrival, response) => void setTimeout(() => json(response, 200, result(arrival)), 8000);
  expect((await call("alice", "search_slow", "demo")).status).toBe(200);
});
