// The whole adapter against the fake: what must hold for any order of calls and faults.
import { inspect } from "node:util";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import { ask, openVault, person } from "../../../test/fakes/open-vault.ts";
import { startFakeVault, type FakeVault, type SeenRequest } from "../../../test/fakes/vault.ts";
import { createCredentials } from "../chain.ts";
import { staticSource } from "../static.ts";
import { Secret } from "../../secret/secret.ts";

const USERS = Array.from({ length: 20 }, (_, i) => `user${i}`);
const SERVERS = ["github", "gitlab", "jira", "slack", "wiki"];
const canary = (user: string, server: string) => `canary-${user}-${server}-0123456789`;
/** Every fourth user has nothing at every second server. */
const has = (user: string, server: string) => USERS.indexOf(user) % 4 !== 3 || SERVERS.indexOf(server) % 2 === 0;

/** A generator of numbers from 0 to 1 that a seed repeats (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function fill(fake: FakeVault): void {
  for (const user of USERS)
    for (const server of SERVERS) if (has(user, server)) fake.put(`${user}/${server}`, { token: canary(user, server) });
}

/** Spoils about one answer in six, each in another way. */
function spoil(fake: FakeVault, random: () => number): void {
  fake.intercept = ({ url }, response) => {
    const dice = random();
    if (dice < 0.001) fake.revokeAll();
    if (dice > 0.16 || url.endsWith("/login")) return false;
    const token = `a token ${String(response.req.headers["x-vault-token"])} of ${url}`;
    if (dice < 0.04) response.socket?.destroy();
    else if (dice < 0.07)
      response.writeHead(503, { "content-type": "application/json" }).end(`{"errors":["${token}"]}`);
    else if (dice < 0.09) response.writeHead(200, { "content-type": "text/html" }).end(`<p>${token}</p>`);
    else if (dice < 0.11)
      response.writeHead(404, { "content-type": "application/json" }).end(`{"errors":["${token}"]}`);
    else if (dice < 0.13) response.writeHead(200, { "content-type": "application/json" }).end('{"data":');
    else return (void setTimeout(() => response.writeHead(500).end(), 5 + random() * 40), true);
    return true;
  };
}

function encodings(secret: string): string[] {
  const bytes = Buffer.from(secret);
  const base64 = [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString("base64")
      .slice(4, -4),
  );
  return [secret, bytes.toString("hex"), bytes.toString("base64url"), encodeURIComponent(secret), ...base64];
}

describe("properties", () => {
  it.each([1, 2])(
    "P5, P6, D18, G17: 2,000 interleaved calls of 20 users at 5 servers, with faults: nobody gets another's (seed %i)",
    async (seed) => {
      const random = randomOf(seed);
      const fake = await startFakeVault();
      fill(fake);
      const ours = openVault(fake, { cacheTtlMs: 300, negativeTtlMs: 100, timeoutMs: 2000 }, { random });
      await ours.vault.start();
      const credentials = createCredentials(
        new Map(
          SERVERS.map((server) => [
            server,
            [
              ours.source({ server, path: "{username}/{server}" }),
              staticSource({ header: "authorization", scheme: "", value: new Secret("the-gateways-own") }),
            ],
          ]),
        ),
      );
      spoil(fake, random);
      const counts = { own: 0, gateway: 0, refused: 0 };
      const details: unknown[] = [];
      const call = async () => {
        const user = USERS[Math.floor(random() * USERS.length)] ?? "";
        const server = SERVERS[Math.floor(random() * SERVERS.length)] ?? "";
        await delay(random() * 3000);
        const step = await credentials(server, person(user), AbortSignal.timeout(random() < 0.1 ? 5 : 800));
        if (!step.ok) {
          counts.refused += 1;
          details.push(step);
          expect(step.reason).toBe("credential_unavailable");
        } else if (step.value.kind === "vault") {
          counts.own += 1;
          expect(step.value.value?.reveal()).toBe(`Bearer ${canary(user, server)}`);
        } else {
          // Only who has none in truth may come to the next kind.
          counts.gateway += 1;
          expect(has(user, server)).toBe(false);
        }
      };
      await Promise.all(Array.from({ length: 2000 }, call));
      expect(Object.values(counts).every((count) => count > 20)).toBe(true);
      const tokens = fake.requests.map(({ headers }) => String(headers["x-vault-token"] ?? "none-canary-0123"));
      const secrets = [...new Set([...tokens, fake.secretId, fake.roleId])];
      for (const user of USERS) for (const server of SERVERS) secrets.push(canary(user, server));
      const said = `${JSON.stringify([details, ours.told])}${inspect([details, ours.told], { depth: 9 })}`;
      for (const secret of secrets) for (const form of encodings(secret)) expect(said.includes(form)).toBe(false);
      await ours.vault.close();
      await fake.stop();
    },
  );

  it("P5: fifty first calls at once are exactly one read and one log-in", async () => {
    const fake = await startFakeVault();
    fill(fake);
    const ours = openVault(fake);
    const source = ours.source({ path: "{username}/{server}" });
    const started = ours.vault.start();
    const answers = await Promise.all(Array.from({ length: 50 }, () => ask(source, person("user0"))));
    await started;
    expect(new Set(answers.map(String))).toEqual(new Set([`found,Bearer ${canary("user0", "github")}`]));
    expect([fake.reads(), fake.logins()]).toEqual([1, 1]);
    await ours.vault.close();
    await fake.stop();
  });
});

describe("N01: a Vault that is lost and comes back heals within five seconds, wherever it was lost", () => {
  const at = (part: string) => (request: SeenRequest) => request.url.includes(part);
  it.each<[string, (request: SeenRequest) => boolean, boolean]>([
    ["before the start", () => false, false],
    ["at the first log-in", at("/login"), false],
    ["at the look at the mount", at("/ui/mounts/"), false],
    ["at a read", at("/data/"), false],
    ["at the look-up of a dead token", at("/lookup-self"), true],
    ["at a renewal", at("/renew-self"), false],
  ])("%s", async (step, isLast, revoked) => {
    const fake = await startFakeVault();
    fake.put("alice/api.github.com", { token: "pat" });
    fake.ttl = { seconds: step.includes("renewal") ? 1 : 60, max: 3600 };
    const ours = openVault(fake, { cacheTtlMs: 0.5 });
    const source = ours.source();
    const lost = Promise.withResolvers<void>();
    if (step === "before the start") await fake.stop().then(lost.resolve);
    fake.intercept = (request, response) => {
      if (!isLast(request)) return false;
      fake.intercept = null;
      response.socket?.destroy();
      void fake.stop().then(lost.resolve);
      return true;
    };
    await ours.vault.start();
    if (revoked) fake.revokeAll();
    if (!step.includes("renewal")) expect((await ask(source, person("alice")))[0]).toBe("cannotTell");
    await lost.promise;
    fake.revokeAll();
    for (let i = 0; i < 8; i++) {
      expect((await ask(source, person("alice")))[0]).toBe("cannotTell");
      await delay(50);
    }
    await fake.restart();
    await vi.waitFor(async () => expect(await ask(source, person("alice"))).toEqual(["found", "Bearer pat"]), 5000);
    await ours.vault.close();
    await fake.stop();
  });
});

describe("what operators see", () => {
  it("a Vault that is away is told of once and then ever less, a log-in once; no value stands anywhere", async () => {
    const fake = await startFakeVault();
    await fake.stop();
    const ours = openVault(fake, {}, { random: () => 0 });
    await ours.vault.start();
    await delay(600);
    await fake.restart();
    await vi.waitFor(() => expect(ours.told.map(({ event }) => event)).toContain("info vault_logged_in"), 5000);
    const lines = ours.told.filter(({ event }) => event.includes(" "));
    expect(lines.map(({ event }) => event)).toEqual([
      "warn vault_login_failed",
      "warn vault_login_failed",
      "info vault_logged_in",
    ]);
    expect(lines[0]?.fields).toEqual({
      key: "vault.address",
      message: expect.stringContaining("503") as string,
      reason: "ECONNREFUSED",
      failures: 1,
    });
    await ours.vault.close();
    await fake.stop();
  });

  it("P2.4-7: a token that somebody made is looked up first, and used; a dead one is refused with its key", async () => {
    const fake = await startFakeVault();
    fake.put("alice/api.github.com", { token: "pat" });
    const good = openVault(fake, { auth: { token: new Secret(fake.rootToken) } });
    await good.vault.start();
    expect(await ask(good.source(), person("alice"))).toEqual(["found", "Bearer pat"]);
    await good.vault.close();
    expect(fake.requests.map(({ url }) => url).filter((url) => /login|revoke/.test(url))).toEqual([]);
    const dead = openVault(fake, { auth: { token: new Secret("s.dead-canary") } });
    await dead.vault.start();
    expect((await ask(dead.source(), person("alice")))[0]).toBe("cannotTell");
    await dead.vault.close();
    expect(dead.told.map(({ event }) => event)).toEqual([
      "login",
      "error vault_login_refused",
      "read",
      "warn vault_no_credential",
    ]);
    expect(JSON.stringify(dead.told)).toContain("vault.auth.token");
    expect(JSON.stringify(dead.told)).not.toContain("canary");
    await fake.stop();
  });

  it("the same fault of the same server is one line in a minute", async () => {
    const fake = await startFakeVault();
    const ours = openVault(fake, { cacheTtlMs: 0.5 });
    await ours.vault.start();
    fake.put("alice/api.github.com", { pat: "x" });
    for (let i = 0; i < 5; i++) await ask(ours.source(), person("alice"));
    expect(ours.told.filter(({ event }) => event === "warn vault_no_credential")).toEqual([
      {
        event: "warn vault_no_credential",
        fields: { server: "github", outcome: "unavailable", reason: "the entry has no such field" },
      },
    ]);
    await ours.vault.close();
    expect(fake.requests.at(-1)?.url).toBe("/v1/auth/token/revoke-self");
    await fake.stop();
  });
});

it("G11: who comes while we log in waits for it, and not beyond her own time", async () => {
  const fake = await startFakeVault();
  fake.put("alice/api.github.com", { token: "pat" });
  const ours = openVault(fake);
  const waiting: (() => void)[] = [];
  fake.intercept = ({ url }, response) => {
    if (!url.endsWith("/login")) return false;
    waiting.push(() => {
      const auth = { client_token: fake.rootToken, lease_duration: 3600, renewable: false };
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ auth }));
    });
    return true;
  };
  const started = ours.vault.start();
  const source = ours.source();
  const patient = ask(source, person("alice"));
  expect(await ask(source, person("alice"), 30)).toEqual(["cannotTell", expect.stringContaining("time")]);
  await vi.waitFor(() => expect(waiting).toHaveLength(1)); // the log-in has arrived
  for (const release of waiting) release();
  expect(await patient).toEqual(["found", "Bearer pat"]);
  await started;
  await ours.vault.close();
  await fake.stop();
});

it("G08: while a Vault hangs, calls do not all wait for it", async () => {
  const fake = await startFakeVault();
  fake.put("alice/api.github.com", { token: "pat" });
  const ours = openVault(fake, { cacheTtlMs: 0.5, timeoutMs: 200 });
  await ours.vault.start();
  const source = ours.source();
  await vi.waitFor(async () => expect((await ask(source, person("alice")))[0]).toBe("found"), 5000);
  fake.intercept = () => true;
  for (let i = 0; i < 5; i++) await ask(source, person("alice"));
  const started = performance.now();
  for (let i = 0; i < 100; i++) {
    expect(await ask(source, person("alice"))).toEqual(["cannotTell", "not asked, for it did not answer"]);
  }
  expect(performance.now() - started).toBeLessThan(500);
  fake.intercept = null;
  await vi.waitFor(async () => expect((await ask(source, person("alice")))[0]).toBe("found"), 5000);
  await ours.vault.close();
  await fake.stop();
});

it("MS-22: a Pod logs in with its projected token, as its file is then, and gives what it got back", async () => {
  const fake = await startFakeVault();
  const file = { text: "first.pod.token\n" };
  const jwt = new Secret(file.text, () => file.text);
  const seen: string[] = [];
  fake.intercept = ({ url, body }, response) => {
    if (url !== "/v1/auth/k8s/login") return false;
    seen.push(body);
    const auth = { client_token: fake.rootToken, lease_duration: 3600, renewable: true };
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ auth }));
    return true;
  };
  fake.put("alice/api.github.com", { token: "pat" });
  for (const text of ["first.pod.token\n", "second.pod.token"]) {
    file.text = text;
    const ours = openVault(fake, { auth: { kubernetes: { mount: "k8s", role: "mcp", jwt } } });
    await ours.vault.start();
    expect(await ask(ours.source(), person("alice"))).toEqual(["found", "Bearer pat"]);
    await ours.vault.close();
    expect(inspect(ours.told, { depth: 9 })).not.toContain("pod.token");
  }
  const sent = (token: string): unknown => ({ role: "mcp", jwt: token });
  expect(seen.map((body) => JSON.parse(body) as unknown)).toEqual([sent("first.pod.token"), sent("second.pod.token")]);
  expect(fake.requests.filter(({ url }) => url.endsWith("revoke-self"))).toHaveLength(2);
  await fake.stop();
});
