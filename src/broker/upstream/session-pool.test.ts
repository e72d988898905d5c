import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import { json, startEraServer, type EraServer } from "../../../test/fakes/mcp-server.ts";
import { Secret } from "../../secret/secret.ts";
import { createSessionPool, type SessionOwner, type SessionPool } from "./session-pool.ts";
import { createUpstreams, type Upstreams } from "./upstream.ts";

const opened: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).toReversed()) await close();
});

interface Setup {
  readonly fake: EraServer;
  readonly pool: SessionPool;
  readonly owner: (more?: {
    server?: string;
    idp?: string;
    sub?: string;
    client?: string;
    credential?: string | null;
  }) => SessionOwner;
  readonly wait: (ms: number) => void;
}

async function setup({ maxSessions = 100, timeoutMs = 1000 } = {}): Promise<Setup> {
  let clock = 0;
  const fake = await startEraServer("sessions");
  const settings = {
    url: fake.url,
    ca: null,
    timeoutMs,
    maxResponseBytes: 1e6,
    credentialHeaders: new Set(["authorization"]),
  };
  const upstreams: Upstreams = createUpstreams(
    new Map(
      ["s", "t", "shared"].map((name) => [
        name,
        { ...settings, needsCredential: false, sessions: name === "shared" ? "caller" : "client" },
      ]),
    ),
  );
  const pool = createSessionPool({ maxSessions, idleMs: 60_000, monotonic: () => clock });
  opened.push(
    () => fake.close(),
    () => upstreams.close(),
    () => pool.close(),
  );
  return {
    fake,
    pool,
    wait: (ms) => (clock += ms),
    owner: ({ server = "s", idp = "i", sub = "alice", client = "c", credential = "Bearer a" } = {}) => ({
      upstream: upstreams.get(server)!,
      idp,
      sub,
      client,
      credential: credential === null ? null : { header: "authorization", value: new Secret(credential) },
    }),
  };
}

const patient = () => AbortSignal.timeout(5000);
const idOf = async (pool: SessionPool, owner: SessionOwner) => {
  const lease = await pool.acquire(owner, patient());
  lease.release();
  return lease.dialect.session;
};

describe("createSessionPool", () => {
  it("clients of one user share no session, unless the server's configuration says so", async () => {
    const { pool, owner } = await setup();
    const ids = await Promise.all([
      idOf(pool, owner()),
      idOf(pool, owner({ client: "d" })),
      idOf(pool, owner({ client: "" })),
      idOf(pool, owner({ server: "shared" })),
    ]);
    expect(new Set(ids).size).toBe(4);
    expect(await idOf(pool, owner({ client: "d" }))).toBe(ids[1]);
    expect(await idOf(pool, owner({ server: "shared", client: "d" }))).toBe(ids[3]);
  });

  it("B33, P4: another caller, issuer, server or credential has another session; the same has the same", async () => {
    const { pool, owner, fake } = await setup();
    const owners = [
      owner(),
      owner({ sub: "bob" }),
      owner({ idp: "j" }),
      owner({ server: "t" }),
      owner({ credential: "Bearer b" }),
      owner({ credential: null }),
      owner({ idp: "i,alice", sub: "x" }),
      owner({ idp: "i", sub: "alice,x" }),
      owner({ idp: 'i","alice', sub: "" }),
    ];
    owners.push({ ...owner(), upstream: { ...owner().upstream, destination: "0123456789abcdef" } }); // the server has moved
    const ids = [];
    for (const one of owners) ids.push(await idOf(pool, one));
    expect(new Set(ids).size).toBe(owners.length);
    expect(await idOf(pool, owner())).toBe(ids[0]);
    expect(fake.of("initialize")).toHaveLength(owners.length);
    expect(fake.of("initialize").map(({ headers }) => headers.authorization)).toContain("Bearer b");
  });

  it("P4: keys are injective, whatever stands in issuer, subject and credential", async () => {
    const { pool, owner } = await setup({ maxSessions: 10_000 });
    const texts = fc.constantFrom("", "a", '"', ",", '","', "\\", "[]", "null", "a,b");
    const seen = new Map<string, string | null>();
    await fc.assert(
      fc.asyncProperty(texts, texts, fc.option(texts), async (idp, sub, credential) => {
        const id = await idOf(pool, owner({ idp, sub, credential }));
        const whose = JSON.stringify([idp, sub, credential]);
        for (const [other, theirs] of seen) expect(theirs === id).toBe(other === whose);
        seen.set(whose, id);
      }),
      { numRuns: 60 },
    );
  });

  it("sessions with a server that has changed end, and no others: its id is none of the other's", async () => {
    const { pool, owner } = await setup();
    const names = ["s", "t", "shared"];
    const before = await Promise.all(names.map((server) => idOf(pool, owner({ server }))));
    pool.endAt("s");
    const after = await Promise.all(names.map((server) => idOf(pool, owner({ server }))));
    expect(after.map((id, i) => id === before[i])).toEqual([false, true, true]);
  });

  it("opens one session for all who wait", async () => {
    const { pool, owner, fake } = await setup();
    const leases = await Promise.all(Array.from({ length: 50 }, () => pool.acquire(owner(), patient())));
    expect(new Set(leases.map(({ dialect }) => dialect.session)).size).toBe(1);
    expect(fake.of("initialize")).toHaveLength(1);
    expect(fake.of("notifications/initialized")).toHaveLength(1);
  });

  it("a handshake that failed is tried again by the next caller", async () => {
    const { pool, owner, fake } = await setup();
    fake.onAny = (_, response) => {
      json(response, 503, {});
      return true;
    };
    await expect(pool.acquire(owner(), patient())).rejects.toMatchObject({ code: "initialize_503" });
    expect(pool.size).toBe(0);
    fake.onAny = () => false;
    expect(await idOf(pool, owner())).not.toBeNull();
  });

  it("a session that a failed handshake leaves behind is ended", async () => {
    const { pool, owner, fake } = await setup();
    fake.onAny = ({ message }, response) => {
      if (message?.method !== "notifications/initialized") return false;
      json(response, 503, {});
      return true;
    };
    await expect(pool.acquire(owner(), patient())).rejects.toMatchObject({ code: "initialized_503" });
    expect(fake.of("DELETE")[0]?.headers).toMatchObject({
      authorization: "Bearer a",
      "mcp-protocol-version": "2025-06-18",
      "mcp-session-id": fake.of("notifications/initialized")[0]?.headers["mcp-session-id"],
    });
    expect(fake.sessions.size).toBe(0);
  });

  it("a silent server ends the handshake, and a caller's own signal her wait alone", async () => {
    const { pool, owner, fake } = await setup({ timeoutMs: 300 });
    fake.onAny = () => true;
    const leaving = new AbortController();
    const left = pool.acquire(owner(), leaving.signal);
    const stayed = pool.acquire(owner(), patient());
    leaving.abort();
    await expect(left).rejects.toMatchObject({ code: "aborted" });
    await expect(stayed).rejects.toMatchObject({ code: "timeout" });
    expect(pool.size).toBe(0);
  });

  it("the least recently used goes first, and is deleted at its server with its credential", async () => {
    const { pool, owner, fake } = await setup({ maxSessions: 2 });
    const first = await idOf(pool, owner({ sub: "a" }));
    const second = await idOf(pool, owner({ sub: "b", credential: "Bearer b" }));
    await idOf(pool, owner({ sub: "a" }));
    await idOf(pool, owner({ sub: "c" }));
    await vi.waitFor(() => expect(fake.of("DELETE")).toHaveLength(1));
    const { headers } = fake.of("DELETE")[0]!;
    expect([headers["mcp-session-id"], headers.authorization]).toEqual([second, "Bearer b"]);
    expect(await idOf(pool, owner({ sub: "a" }))).toBe(first);
    expect(pool.size).toBe(2);
  });

  it("K05: one caller with ever new credentials has a few, and takes nobody else's", async () => {
    const { pool, owner, fake } = await setup({ maxSessions: 20 });
    const others = [owner({ sub: "bob" }), owner({ idp: "j" }), owner({ server: "t" })];
    const before = await Promise.all(others.map((one) => idOf(pool, one)));
    for (let i = 0; i < 40; i += 1) await idOf(pool, owner({ credential: `Bearer ${i}` }));
    expect(await Promise.all(others.map((one) => idOf(pool, one)))).toEqual(before);
    expect(pool.size).toBe(others.length + 8);
    await vi.waitFor(() => expect(fake.sessions.size).toBe(others.length + 8));
  });

  it("one that is in use is deleted when its last user is done", async () => {
    const { pool, owner, fake } = await setup({ maxSessions: 1 });
    const lease = await pool.acquire(owner({ sub: "a" }), patient());
    await idOf(pool, owner({ sub: "b" }));
    expect(fake.sessions.has(lease.dialect.session!)).toBe(true);
    expect(fake.of("DELETE")).toHaveLength(0);
    lease.release();
    await vi.waitFor(() => expect(fake.sessions.has(lease.dialect.session!)).toBe(false));
  });

  it("idle ones end, used ones do not", async () => {
    const { pool, owner, fake, wait } = await setup();
    await idOf(pool, owner({ sub: "idle" }));
    const lease = await pool.acquire(owner({ sub: "busy" }), patient());
    wait(60_001);
    pool.sweep();
    expect(pool.size).toBe(1);
    await vi.waitFor(() => expect(fake.of("DELETE")).toHaveLength(1));
    lease.release();
    pool.sweep();
    expect(pool.size).toBe(1);
  });

  it("a discarded one is not told of its end, and the next caller gets another", async () => {
    const { pool, owner, fake } = await setup();
    const lease = await pool.acquire(owner(), patient());
    lease.discard();
    lease.release();
    const next = await pool.acquire(owner(), patient());
    expect(next.dialect.session).not.toBe(lease.dialect.session);
    lease.discard(); // late: it must not take the new one away
    expect(await idOf(pool, owner())).toBe(next.dialect.session);
    expect(fake.of("DELETE")).toHaveLength(0);
  });

  it("close deletes all, and does not wait for a server that is silent", async () => {
    const { pool, owner, fake } = await setup();
    for (const sub of ["a", "b", "c"]) await idOf(pool, owner({ sub }));
    await pool.close();
    expect([fake.sessions.size, pool.size]).toEqual([0, 0]);
    await idOf(pool, owner());
    fake.onAny = () => true;
    const started = performance.now();
    await pool.close();
    expect(performance.now() - started).toBeLessThan(3000);
  });
});
