// Clients × servers with two replicas of `serve` and `broker` behind one Envoy that takes the replicas in turn, so that the
// requests of one session come to both: nothing is lost by it, and what is gone with a replica is said to be gone.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ElicitRequestSchema, ToolListChangedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { freePort } from "../../demo/ports.ts";
import { startOldLive, type LiveServer } from "../e2e/servers.ts";
import { startFixture, type Fixture } from "./fixture/fixture.ts";
import { CLIENTS, type MatrixClient } from "./matrix/clients.ts";
import { FIXTURE_ASKS, SERVERS, startServers, type Asks, type Running } from "./matrix/servers.ts";
import { personsAnswer, STEPS, textsOf, type Said } from "./matrix/visits.ts";
import { OLDER, olderRequest, send, withHeaders, type Reply, type Sent } from "./raw.ts";
import { REPLICAS, startReplicas, type Counts, type Replica, type Replicas } from "./replicas.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-replicas-"));
const SOON = { timeout: 20_000, interval: 100 };
const AGAIN = 6;
const INITIALIZE = olderRequest("initialize", {
  protocolVersion: OLDER,
  capabilities: {},
  clientInfo: { name: "replicas", version: "1" },
});
const LIST = olderRequest("tools/list");
const CALL = olderRequest("tools/call", { name: "test_simple_text", arguments: {} });

let fixture: Fixture;
let live: LiveServer;
let others: readonly Running[] = [];
let replicas: Replicas;
let gateway: string;
let alice: string;
let bob: string;

beforeAll(async () => {
  fixture = await startFixture(await freePort());
  live = await startOldLive("live", new Set(["read"]));
  others = await startServers(
    folder,
    SERVERS.filter(({ name }) => name === "everything"),
  );
  const credential = [{ none: {} }];
  const further = others.map(({ server, url }) => [server.name, { url, credential }] as const);
  replicas = await startReplicas(folder, {
    fixture: { url: `${fixture.origin}/mcp`, credential },
    older: { url: `${fixture.origin}/older/mcp`, credential },
    live: { url: live.url, credential },
    ...Object.fromEntries(further),
  });
  gateway = replicas.lab.gateway;
  [alice, bob] = [await replicas.lab.idp.mint("alice"), await replicas.lab.idp.mint("bob")];
});
afterAll(async () => {
  await replicas.stop();
  await Promise.all([fixture.close(), live.stop(), ...others.map(({ child }) => child.stop())]);
  rmSync(folder, { recursive: true, force: true });
});

const growth = (before: Counts, after: Counts): Counts => [after[0] - before[0], after[1] - before[1]];

/** What both replicas of each had to do meanwhile. */
async function during(work: () => Promise<void>): Promise<{ readonly checks: Counts; readonly arrivals: Counts }> {
  const [checks, arrivals] = [await replicas.checks(), await replicas.arrivals()];
  await work();
  return {
    checks: growth(checks, await replicas.checks()),
    arrivals: growth(arrivals, await replicas.arrivals()),
  };
}

function expectBoth({ checks, arrivals }: { readonly checks: Counts; readonly arrivals: Counts }): void {
  expect(Math.min(...checks), `Checks ${checks.join(", ")}`).toBeGreaterThan(0);
  expect(Math.min(...arrivals), `requests to brokers ${arrivals.join(", ")}`).toBeGreaterThan(0);
}

interface As {
  readonly path?: string;
  readonly token?: string;
}

const OF_FIXTURE = "/servers/fixture/mcp";

/** As alice, at the fixture's endpoint, where nothing else is said. */
const once = (sent: Sent, session: string | null = null, { path = OF_FIXTURE, token = alice }: As = {}) =>
  send(
    gateway + path,
    withHeaders(sent, { authorization: `Bearer ${token}`, ...(session !== null && { "mcp-session-id": session }) }),
  );

/** As often as both replicas have it several times. */
async function again(sent: Sent, session: string, as: As = {}): Promise<readonly Reply[]> {
  const replies: Reply[] = [];
  for (let i = 0; i < AGAIN; i++) replies.push(await once(sent, session, as));
  return replies;
}

const statusesOf = (replies: readonly Reply[]) => replies.map(({ status }) => status);
const always = (status: number): readonly number[] => Array.from({ length: AGAIN }, () => status);

async function begin(): Promise<string> {
  const reply = await once(INITIALIZE);
  expect(reply.status).toBe(200);
  const id = reply.headers.get("mcp-session-id") ?? "";
  expect(id).not.toBe("");
  const begun = { jsonrpc: "2.0", method: "notifications/initialized" };
  expect((await once({ headers: { "mcp-protocol-version": OLDER }, body: begun }, id)).status).toBe(202);
  return id;
}

/** It gets each request of its session, the other one only every second. */
async function ownerOf(session: string, path = OF_FIXTURE): Promise<Replica> {
  const { arrivals } = await during(async () => {
    expect(statusesOf(await again(LIST, session, { path }))).toEqual(always(200));
  });
  expect([...arrivals].toSorted((a, b) => a - b)).toEqual([AGAIN / 2, AGAIN]);
  return arrivals[0] === AGAIN ? 0 : 1;
}

/** Opens until each replica owns one; in their order. */
async function oneOfEach<T>(open: () => Promise<T>, ownerOfIt: (opened: T) => Promise<Replica>): Promise<readonly T[]> {
  const found = new Map<Replica, T>();
  for (let i = 0; i < AGAIN && found.size < REPLICAS.length; i++) {
    const opened = await open();
    found.set(await ownerOfIt(opened), opened);
    if (i % 2 === 0) await once(LIST); // the next one begins at the other, if all else takes an even number of requests
  }
  const all = REPLICAS.flatMap((replica) => found.get(replica) ?? []);
  expect(all).toHaveLength(REPLICAS.length);
  return all;
}

const NAMES = [
  "TypeScript SDK 1",
  "TypeScript SDK 2, older",
  "TypeScript SDK 2, either",
  "TypeScript SDK 2, 2026-07-28",
  "Python SDK 1",
  "Python SDK 2, either",
  "Go SDK",
  "mcp-remote",
  "Inspector, older",
];
const EVERYTHING_ASKS = SERVERS.find(({ name }) => name === "everything")?.asks ?? FIXTURE_ASKS;
/** The last: the person is asked back through a session of the server's, whatever revision the client speaks. */
const PLACES: readonly { readonly name: string; readonly asks: Asks; readonly asksBack: boolean }[] = [
  { name: "fixture", asks: FIXTURE_ASKS, asksBack: false },
  { name: "everything", asks: EVERYTHING_ASKS, asksBack: false },
  { name: "older", asks: FIXTURE_ASKS, asksBack: true },
];

function clientOf(name: string): MatrixClient {
  const found = CLIENTS.find((client) => client.name === name);
  if (found === undefined) throw new Error(`no client ${name}`);
  return found;
}

function lost(said: Said, asks: Asks, steps: readonly string[]): readonly string[] {
  return STEPS.filter((step) => steps.includes(step) && asks.says[step] !== undefined)
    .filter((step) => !(said[step] ?? "").includes(asks.says[step] ?? "?"))
    .map((step) => `${step}: ${said[step]}`);
}

describe.each(NAMES.map(clientOf))("$name", (client: MatrixClient) => {
  const here = client.missing === null ? "" : ` (not here: ${client.missing})`;
  it.skipIf(client.missing !== null).each(PLACES)(
    `${client.name} × $name, two replicas: nothing is lost, and both take part${here}`,
    async ({ name, asks, asksBack }) => {
      let said: Said = {};
      const part = await during(async () => {
        const [first] = await client.run([{ url: `${gateway}/servers/${name}/mcp`, token: alice, asks }]);
        said = first ?? {};
      });
      const steps = (client.stepsOnly ?? STEPS).filter((step) => step !== "ask" || asksBack);
      expect(lost(said, asks, steps)).toEqual([]);
      expectBoth(part);
    },
  );
});

describe("a session of TypeScript SDK 1", () => {
  it("TypeScript SDK 1 × older, two replicas: greets, lists, calls twice, is asked back, and ends; ended is ended at both", async () => {
    const requestInit = { headers: { authorization: `Bearer ${alice}` } };
    const client = new Client({ name: "replicas", version: "1" }, { capabilities: { elicitation: {} } });
    client.setRequestHandler(ElicitRequestSchema, ({ params }) => personsAnswer(params));
    const transport = new StreamableHTTPClientTransport(new URL(`${gateway}/servers/older/mcp`), { requestInit });
    const call = async (name: string, args: Record<string, unknown> = {}) =>
      textsOf((await client.callTool({ name, arguments: args })).content);
    let session = "";
    const part = await during(async () => {
      await client.connect(transport as never);
      session = transport.sessionId ?? "";
      expect((await client.listTools()).tools.map(({ name }) => name)).toContain("test_elicitation");
      for (let i = 0; i < 2; i++) expect(await call("test_simple_text")).toContain(FIXTURE_ASKS.says["call"]);
      expect(await call("test_elicitation", { message: "Your name?" })).toContain("Ada");
      await transport.terminateSession();
      await client.close();
    });
    expectBoth(part);
    expect(statusesOf(await again(CALL, session, { path: "/servers/older/mcp" }))).toEqual(always(404));
  });

  it("TypeScript SDK 1 × live, two replicas: a stream at each hears what changed, and who then lists sees it", async () => {
    const listening = await oneOfEach(listen, ({ session }) => ownerOf(session, OF_LIVE));
    live.tools.add("fresh");
    live.changed();
    await vi.waitFor(() => expect(listening.map(({ seen }) => seen.at(-1))).toEqual([CHANGED, CHANGED]), SOON);
  });

  const OF_LIVE = "/servers/live/mcp";
  const CHANGED = ["fresh", "read"];
  const closing: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });

  /** `seen`: what it listed each time that it was told. */
  async function listen(): Promise<{ readonly session: string; readonly seen: readonly string[][] }> {
    const seen: string[][] = [];
    const opened = vi.fn();
    const client = new Client({ name: "replicas", version: "1" });
    client.setNotificationHandler(ToolListChangedNotificationSchema, async () => {
      seen.push((await client.listTools()).tools.map(({ name }) => name));
    });
    const fetchAnd = async (url: string | URL, init?: RequestInit) => {
      const response = await fetch(url, init);
      if (init?.method === "GET") opened(response.status);
      return response;
    };
    const requestInit = { headers: { authorization: `Bearer ${alice}` } };
    const transport = new StreamableHTTPClientTransport(new URL(gateway + OF_LIVE), { requestInit, fetch: fetchAnd });
    await client.connect(transport as never);
    closing.push(async () => {
      await transport.terminateSession();
      await client.close();
    });
    await vi.waitFor(() => expect(opened).toHaveBeenCalledWith(200), SOON);
    return { session: transport.sessionId ?? "", seen };
  }
});

describe("a session, two replicas", () => {
  it("CF-32, P8.2-1: opened at either replica it goes on at the other", async () => {
    for (const session of await oneOfEach(begin, ownerOf))
      expect(statusesOf(await again(CALL, session))).toEqual(always(200));
  });

  it("another caller who has its id gets 404 at both, and its own caller goes on", async () => {
    const session = await begin();
    const series = 'mcp_authz_broker_requests_total{method="tools/call",outcome="session_unknown"}';
    const refused = () => Promise.all(REPLICAS.map((replica) => replicas.brokerCount(replica, series)));
    const before = await refused();
    const replies = await again(CALL, session, { token: bob });
    expect(statusesOf(replies)).toEqual(always(404));
    expect(replies.map(({ message }) => message?.error?.code)).toEqual(replies.map(() => -32001));
    const after = await refused();
    expect(after.map((count, i) => count - (before[i] ?? 0))).toEqual([AGAIN / 2, AGAIN / 2]);
    for (const method of ["GET", "DELETE"]) {
      const bodiless = { method, headers: { accept: "text/event-stream", "mcp-protocol-version": OLDER } };
      expect(statusesOf(await again(bodiless, session, { token: bob }))).toEqual(always(404));
    }
    expect(statusesOf(await again(CALL, session))).toEqual(always(200));
  });

  it.each(REPLICAS)(
    "of replica %i is 404 once that is killed, also when it is back; a new one works, and the other's goes on",
    async (killed) => {
      const sessions = await oneOfEach(begin, ownerOf);
      const [gone = "", kept = ""] = killed === 0 ? sessions : sessions.toReversed();
      await replicas.killBroker(killed);
      const replies = await again(CALL, gone);
      expect(statusesOf(replies)).toEqual(always(404));
      expect(replies.map(({ headers }) => headers.get("mcp-session-id"))).toEqual(replies.map(() => null));
      const fresh = await begin();
      for (const session of [kept, fresh]) expect(statusesOf(await again(CALL, session))).toEqual(always(200));
      await replicas.startBroker(killed);
      expect(statusesOf(await again(CALL, gone))).toEqual(always(404));
      for (const session of [kept, fresh]) expect(statusesOf(await again(CALL, session))).toEqual(always(200));
    },
  );
});

it("both brokers answered requests of their own", async () => {
  for (const replica of REPLICAS)
    expect(await replicas.brokerCount(replica, "mcp_authz_broker_requests_total")).toBeGreaterThan(0);
});
