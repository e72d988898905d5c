// How the configuration becomes sources: what servers share, and what they must not.
import { afterAll, beforeAll, expect, it } from "vitest";
import { Secret } from "../../src/secret/secret.ts";
import { createExchangeSources } from "../../src/app/serve/exchange.ts";
import type { Config } from "../../src/config/load.ts";
import {
  AUDIENCE,
  callerOf,
  CLIENT,
  SCOPE,
  startTokenEndpoint,
  type FakeTokenEndpoint,
} from "../fakes/token-endpoint.ts";

type Entry = Extract<Parameters<ReturnType<typeof createExchangeSources>["source"]>[0], { kind: "exchange" }>;

let fake: FakeTokenEndpoint;
let other: FakeTokenEndpoint;
beforeAll(async () => {
  fake = await startTokenEndpoint();
  other = await startTokenEndpoint();
});
afterAll(async () => {
  await fake.close();
  await other.close();
});

const signal = new AbortController().signal;

function entryOf(tokenEndpoint: string, caFile: string | null = null): Entry {
  const client = { id: CLIENT.id, secret: new Secret(CLIENT.secret), auth: "client_secret_basic" as const };
  const placement = { header: "authorization", scheme: "Bearer" };
  const target = { tokenEndpoint, issuer: null, audience: AUDIENCE, scope: SCOPE, allowScopes: [] };
  return {
    kind: "exchange",
    profile: "rfc8693",
    mode: "impersonation",
    ...target,
    client,
    timeoutMs: 2000,
    caFile,
    ...placement,
  };
}

function sources() {
  const counts: string[] = [];
  const logged: unknown[] = [];
  const metrics = {
    cache: (_: string, result: string) => void counts.push(result),
    exchange: (outcome: string) => void counts.push(outcome),
  };
  const log = { error: (event: string, fields: unknown) => void logged.push([event, fields]) };
  return {
    counts,
    logged,
    ...createExchangeSources(
      {
        negativeTtlMs: 5000,
        identity: { issuers: [] as object[], apiKeys: [] as object[], proxies: [] as object[], development: null },
        servers: {},
      } as unknown as Config,
      {
        log,
        metrics,
      },
    ),
  };
}

it("H11: servers of one token endpoint wait together, those of another do not", async () => {
  const { source, close, counts } = sources();
  const [a, b, c] = [
    source(entryOf(fake.url), "servers.a.credential[0]"),
    source(entryOf(fake.url), "servers.b.credential[0]"),
    source(entryOf(other.url), "servers.c.credential[0]"),
  ];
  fake.respond = (response) => response.writeHead(429, { "retry-after": "20" }).end();
  expect(await a.get(callerOf("alice"), signal)).toHaveProperty("cannotTell");
  expect(await b.get(callerOf("alice"), signal)).toEqual({ cannotTell: "the token endpoint asked us to wait (429)" });
  expect(await c.get(callerOf("alice"), signal)).toHaveProperty("found");
  expect(fake.requests).toHaveLength(1);
  expect(counts).toEqual(["miss", "unavailable", "miss", "unavailable", "miss", "ok"]);
  close();
});

it("CF-13: one cache, in which no server finds another's token", async () => {
  const { source, close } = sources();
  const alice = callerOf("alice");
  const before = other.requests.length;
  for (const key of ["servers.a.credential[0]", "servers.b.credential[0]", "servers.a.credential[0]"])
    expect(await source(entryOf(other.url), key).get(alice, signal)).toHaveProperty("found");
  expect(other.requests.length - before).toBe(2);
  close();
});

it("P2.3-6: mode makes another source, and no answer of one mode is found by the other", async () => {
  const { source, start, close, logged } = sources();
  const alice = callerOf("alice");
  const key = "servers.a.credential[0]";
  const [plain, delegating] = [
    source(entryOf(other.url), key),
    source({ ...entryOf(other.url), mode: "delegation" }, key),
  ];
  const before = other.requests.length;
  await start();
  const actors: unknown[] = [];
  for (const one of [plain, delegating, plain, delegating]) {
    const answer = await one.get(alice, signal);
    actors.push("found" in answer && answer.found.origin?.actors);
  }
  expect(actors).toEqual([undefined, [CLIENT.id], undefined, [CLIENT.id]]);
  const forms = other.requests.slice(before).map(({ form }) => [form.get("grant_type"), form.has("actor_token")]);
  const exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
  expect(forms).toEqual([
    ["client_credentials", false],
    [exchange, false],
    [exchange, true],
  ]);
  expect(logged).toEqual([]);
  close();
});

it("P2.3-6: an actor's token that cannot be fetched is told of at the start, in one line until it can", async () => {
  const { source, start, close, logged } = sources();
  const delegating = source({ ...entryOf(other.url), mode: "delegation" }, "servers.a.credential[0]");
  source(entryOf(other.url), "servers.b.credential[0]");
  other.respond = (response) => response.writeHead(401).end();
  await start();
  expect(await delegating.get(callerOf("alice"), signal)).toHaveProperty("cannotTell");
  const line = {
    key: "servers.a.credential[0].exchange.mode",
    message: expect.stringContaining("refused with 503") as string,
    reason: "the token endpoint answered 401 to client_credentials: see client",
  };
  expect(logged).toEqual([["exchange_actor_missing", line]]);
  other.respond = other.honest;
  expect(await delegating.get(callerOf("alice"), signal)).toHaveProperty("found");
  close();
});

it("G20: a CA file that cannot be read stops the start, and names its key", () => {
  const { source } = sources();
  expect(() => source(entryOf("https://idp.example.com/token", "/no/such/ca.pem"), "servers.a.credential[0]")).toThrow(
    "servers.a.credential[0].exchange.caFile: /no/such/ca.pem cannot be read",
  );
});
