// Sessions of clients of the older revisions, at the real broker: whose an id is, what belongs to it, and how it ends.
import { describe, expect, it, vi } from "vitest";
import { reasonOf } from "../../../test/fakes/broker-client.ts";
import { startTestBroker, type BrokerLimits } from "../../../test/fakes/broker.ts";
import { startEraServer, type FakeEra } from "../../../test/fakes/mcp-server.ts";
import { relayFixture } from "../../../test/fakes/relay.ts";
import { SessionClient, type SessionClientOptions } from "../../../test/fakes/session-client.ts";

const { closing } = relayFixture();

async function setup(limits: BrokerLimits = {}, era: FakeEra = "sessions") {
  const [s, t] = await Promise.all([startEraServer(era), startEraServer(era)]);
  const broker = await startTestBroker(
    { s: { url: s.url }, t: { url: t.url }, shared: { url: t.url, sessions: "caller" } },
    { clientSessions: {}, ...limits },
  );
  closing.push(
    () => s.close(),
    () => t.close(),
    () => broker.close(),
  );
  const begin = async (options: Partial<SessionClientOptions> = {}) => {
    const client = new SessionClient({ port: broker.port, ...options });
    await client.begin();
    return client;
  };
  return { s, t, broker, begin };
}

const sessionsOf = (server: { of(what: string): readonly { headers: Record<string, unknown> }[] }) =>
  server.of("tools/call").map(({ headers }) => headers["mcp-session-id"]);

describe("an id", () => {
  it("is given with the handshake, opens nothing before the first call, and is a session of its own at each server", async () => {
    const { s, t, begin } = await setup();
    const client = await begin({ server: null });
    expect(client.id).toMatch(/^[A-Za-z0-9_.-]{1,2048}$/);
    expect([s.requests, t.requests]).toEqual([[], []]);
    for (const name of ["s_echo", "t_echo", "s_echo"])
      expect((await client.call(name, {}, { headers: { "x-mcp-server": name.slice(0, 1) } })).status).toBe(200);
    expect(new Set(sessionsOf(s)).size).toBe(1);
    expect(sessionsOf(s)).not.toContain(client.id);
    expect(sessionsOf(t)).toHaveLength(1);
  });

  it("two windows of one user are two sessions at a server, also after her credential changed", async () => {
    const { s, begin } = await setup();
    const [first, second] = [await begin(), await begin()];
    expect(first.id).not.toBe(second.id);
    await first.call();
    await second.call();
    await first.call("echo", {}, { headers: { "x-upstream-authorization": "Bearer renewed" } });
    const [one, two, three] = sessionsOf(s);
    expect([one === two, one === three]).toEqual([false, true]);
    expect(s.of("tools/call").at(-1)?.headers.authorization).toBe("Bearer renewed");
  });

  it("a server whose sessions are the caller's has one for all her windows", async () => {
    const { t, begin } = await setup();
    for (const window of [await begin({ server: "shared" }), await begin({ server: "shared" })]) await window.call();
    expect(new Set(sessionsOf(t)).size).toBe(1);
  });

  it.each<[string, Partial<SessionClientOptions>]>([
    ["another user", { sub: "bob" }],
    ["a user of this name at another issuer", { idp: "https://other.example.com" }],
    ["another client of hers", { client: "agent" }],
    ["her at another server", { server: "t" }],
    ["her at /mcp", { server: null }],
  ])("MS-11: of %s is nobody's here, and reaches no server", async (_, who) => {
    const { s, t, begin, broker } = await setup();
    const { id } = await begin();
    const thief = new SessionClient({ port: broker.port, ...who });
    thief.id = id;
    const replies = [
      await thief.call("s_echo", {}, { headers: { "x-mcp-server": "s" } }),
      await thief.ask({ body: { id: 5, method: "tools/list" } }),
      await thief.setLevel("debug"),
      await thief.answer(1),
      await thief.notify("notifications/cancelled", { requestId: 1 }),
      await thief.end(),
    ];
    for (const reply of replies) expect([reply.status, reasonOf(reply.message)]).toEqual([404, "session_unknown"]);
    expect(replies[1]?.message).toMatchObject({ id: 5, error: { code: -32_001 } });
    expect([s.requests, t.requests, broker.clientSessions()]).toEqual([[], [], 1]);
  });

  it("MS-12: altered anywhere, cut or made up, it is nobody's", async () => {
    const { s, begin } = await setup();
    const client = await begin();
    const { id } = client;
    const flip = (at: number) => id.slice(0, at) + (id[at] === "A" ? "B" : "A") + id.slice(at + 1);
    for (const other of [...[...id].map((_, at) => flip(at)), id.slice(1), id.slice(0, -1), `${id}A`, "x"]) {
      client.id = other;
      expect((await client.call()).status).toBe(404);
    }
    expect(s.requests).toEqual([]);
    client.id = id;
    const twice = await client.call("echo", {}, { headers: { "mcp-session-id": [id, id] } });
    expect([twice.status, s.requests]).toEqual([404, []]);
  });
});

describe("an end", () => {
  it("DELETE ends it, and its sessions at servers; its id is dead for good", async () => {
    const { s, begin, broker } = await setup();
    const client = await begin();
    await client.call();
    const [id] = sessionsOf(s);
    const ended = await client.end();
    expect([ended.status, ended.text]).toEqual([204, ""]);
    await vi.waitFor(() => expect(s.of("DELETE").map(({ headers }) => headers["mcp-session-id"])).toEqual([id]));
    const before = s.requests.length;
    for (const reply of [await client.call(), await client.end(), await client.setLevel("info")])
      expect([reply.status, reasonOf(reply.message)]).toEqual([404, "session_unknown"]);
    expect([s.requests.length, broker.clientSessions()]).toEqual([before, 0]);
  });

  it("no wristband but that of a session ends it", async () => {
    const { begin } = await setup();
    const client = await begin();
    for (const use of ["list", "call"] as const)
      expect((await client.ask({ http: "DELETE", use, headers: {} })).status).toBe(403);
    expect((await client.call()).status).toBe(200);
  });

  it("idle time ends it, a call or a stream under way keeps it", async () => {
    const { broker, begin, s } = await setup({ clientSessions: { idleMs: 1000, absoluteMs: 10_000 } });
    const [idle, busy] = [await begin(), await begin()];
    s.onCall = (_, response) => void setTimeout(() => response.end(), 500);
    const call = busy.open().then((response) => response.resume());
    await vi.waitFor(() => expect(s.of("tools/call")).toHaveLength(1));
    broker.ahead = 2000;
    broker.sweep();
    expect(broker.clientSessions()).toBe(1);
    expect((await idle.call()).status).toBe(404);
    await busy.end();
    await call;
  });

  it("absolute time ends it, however busy it is", async () => {
    const { broker, begin } = await setup({ clientSessions: { idleMs: 1000, absoluteMs: 2500 } });
    const client = await begin();
    for (const ahead of [900, 1800]) {
      broker.ahead = ahead;
      expect((await client.call()).status).toBe(200);
    }
    broker.ahead = 2600;
    expect((await client.call()).status).toBe(404);
  });

  it("MS-13: a server that has lost a session that calls have used is told to the client, and called in no other", async () => {
    const { s, t, begin } = await setup();
    const client = await begin();
    await client.call();
    s.forgetSessions();
    const before = s.of("initialize").length;
    const reply = await client.call();
    expect([reply.status, reasonOf(reply.message), s.of("initialize").length]).toEqual([
      404,
      "session_unknown",
      before,
    ]);
    expect((await client.call()).status).toBe(404);
    const anew = await begin();
    expect((await anew.call()).status).toBe(200);
    expect(t.requests).toEqual([]);
  });

  it("a session that no call has used yet may be opened again", async () => {
    const { s, begin } = await setup();
    let isFirst = true;
    s.onAny = ({ method }) => {
      if (method === "tools/call" && isFirst) {
        isFirst = false;
        s.forgetSessions();
      }
      return false;
    };
    const client = await begin();
    expect((await client.call()).status).toBe(200);
  });

  it("without a session a lost one is replaced, as nothing says that it held anything", async () => {
    const { s, broker } = await setup();
    const stateless = new SessionClient({ port: broker.port });
    await stateless.call();
    s.forgetSessions();
    expect((await stateless.call()).status).toBe(200);
  });
});

describe("bounds", () => {
  it("K05: a caller's sessions beyond her number end her own that was idle longest", async () => {
    const { broker, begin } = await setup({ clientSessions: { maxPerCaller: 2 } });
    const bob = await begin({ sub: "bob" });
    const [first, second] = [await begin(), await begin()];
    await first.call();
    const third = await begin();
    expect((await second.call()).status).toBe(404);
    for (const client of [first, third, bob]) expect((await client.call()).status).toBe(200);
    expect(broker.clientSessions()).toBe(3);
  });

  it("in all: an idle one ends; if none is idle, a new one is refused", async () => {
    const { begin, s, broker } = await setup({ clientSessions: { max: 2 } });
    s.onCall = () => {};
    const busy = [await begin(), await begin({ sub: "bob" })];
    const calls = busy.map((client) => client.open().then((response) => response.resume()));
    await vi.waitFor(() => expect(s.of("tools/call")).toHaveLength(2));
    const refused = await new SessionClient({ port: broker.port, sub: "carol" }).begin();
    expect([refused.status, reasonOf(refused.message)]).toEqual([429, "rate_limited"]);
    await Promise.allSettled(calls);
  });
});

it("the level of log messages reaches the servers that are open, and those that are opened later", async () => {
  const { s, t, begin } = await setup();
  const client = await begin({ server: null });
  const call = (name: string) => client.call(name, {}, { headers: { "x-mcp-server": name.slice(0, 1) } });
  await call("s_echo");
  expect((await client.setLevel("warning")).message).toMatchObject({ result: {} });
  expect(s.of("logging/setLevel").map(({ params }) => params)).toEqual([{ level: "warning" }]);
  await call("t_echo");
  const methods = t.requests.map(({ method }) => method);
  expect(methods.slice(-3)).toEqual(["notifications/initialized", "logging/setLevel", "tools/call"]);
  for (const level of ["loud", 1, null, "toString"])
    expect((await client.setLevel(level)).message).toMatchObject({ error: { code: -32_602 } });
  expect(s.of("logging/setLevel")).toHaveLength(1);
});

it("a client without a session, and one of the stateless revision, are served as before", async () => {
  const { broker, s } = await setup();
  const plain = new SessionClient({ port: broker.port });
  expect((await plain.call()).status).toBe(200);
  expect((await plain.end()).status).toBe(405);
  expect((await plain.setLevel("info")).message).toMatchObject({ error: { code: -32_601 } });
  expect((await plain.answer(1)).status).toBe(202);
  const headers = { "mcp-session-id": "anything" };
  expect((await broker.call({ modern: true, headers })).status).toBe(200);
  expect(sessionsOf(s)).not.toContain("anything");
});
