import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { foundToken, sourceOf, type ExchangeWorld } from "../../../test/contract/exchange.ts";
import {
  answerJson,
  AUDIENCE,
  callerOf,
  CLIENT,
  exchangedFor,
  granting,
  SCOPE,
  startTokenEndpoint,
  type FakeTokenEndpoint,
} from "../../../test/fakes/token-endpoint.ts";
import { Secret } from "../../secret/secret.ts";
import { createLookupCache } from "../lookup-cache.ts";
import { createCredentials } from "../chain.ts";
import { staticSource } from "../static.ts";
import { exchangeSource, type ExchangeOptions } from "./source.ts";
import { createTokenEndpoint } from "./token-endpoint.ts";

let fake: FakeTokenEndpoint;
let world: ExchangeWorld;
const never = new AbortController().signal;
const ALICE = callerOf("alice");

beforeAll(async () => {
  fake = await startTokenEndpoint();
  world = {
    tokenEndpoint: fake.url,
    profile: "rfc8693",
    client: CLIENT,
    audience: AUDIENCE,
    scope: SCOPE,
    unknownAudience: "refused",
    actor: CLIENT.id,
    caller: (person) => Promise.resolve(callerOf(person)),
    close: fake.close,
  };
});
afterEach(() => {
  fake.respond = fake.honest;
});
afterAll(() => fake.close());

describe("exchangeSource", () => {
  it("P9.3-1, B4: the request as specified, with the client's id form-encoded", async () => {
    await sourceOf(world).get(ALICE);
    const { headers, form } = fake.requests.at(-1) ?? { headers: {}, form: new URLSearchParams() };
    expect(Object.fromEntries(form)).toEqual({
      grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
      subject_token: ALICE.token.reveal(),
      subject_token_type: "urn:ietf:params:oauth:token-type:access_token",
      requested_token_type: "urn:ietf:params:oauth:token-type:access_token",
      audience: AUDIENCE,
      scope: SCOPE,
    });
    const basic = Buffer.from(headers.authorization?.slice(6) ?? "", "base64").toString();
    expect(basic).toBe("https%3A%2F%2Fgw.example.com:client-secret-canary%3A+50%25+%26+more");
  });

  it("C21: an IdP is not shown the token of another issuer's caller, who has none here", async () => {
    const before = fake.requests.length;
    const { get } = sourceOf(world, { issuer: ALICE.issuer });
    expect(await get({ ...ALICE, issuer: "https://other.example.com" })).toHaveProperty("hasNone");
    expect(fake.requests.length).toBe(before);
    expect(await get(ALICE)).toHaveProperty("found");
  });

  it("G05: two issuers with the same sub, and even the same token, share no exchanged token", async () => {
    const { get, clocks } = sourceOf(world);
    const other = { ...ALICE, issuer: "https://other.example.com" };
    for (const person of [ALICE, other, ALICE, other]) foundToken(await get(person));
    expect(clocks.asked).toBe(2);
  });

  it("the header and the scheme are the configured ones", async () => {
    const { get } = sourceOf(world, { header: "x-api-key", scheme: "" });
    const answer = await get(ALICE);
    expect("found" in answer && [answer.found.header, answer.found.value?.reveal().split(".").length]).toEqual([
      "x-api-key",
      3,
    ]);
    expect("found" in answer && Object.isFrozen(answer.found)).toBe(true); // D22
  });

  it.each<[string, (f: FakeTokenEndpoint) => void]>([
    ["503", (f) => (f.respond = (response) => answerJson(response, 503, { error: "x" }))],
    ["HTML", (f) => (f.respond = (response) => response.end("<html>"))],
    ["a redirect", (f) => (f.respond = (response) => response.writeHead(302, { location: f.url }).end())],
    ["a reset", (f) => (f.respond = (response) => response.destroy())],
    ["silence", (f) => (f.respond = () => {})],
    [
      "the caller's own token",
      (f) => (f.respond = (r, { form }) => answerJson(r, 200, granting(form.get("subject_token") ?? ""))),
    ],
    ["somebody else's", (f) => (f.respond = (r) => answerJson(r, 200, granting(exchangedFor("bob"))))],
    [
      "an ID token",
      (f) => (f.respond = (r) => answerJson(r, 200, granting(exchangedFor("alice"), { token_type: "N_A" }))),
    ],
  ])(
    "H12, P2.4-4: %s is asked once, and neither the next kind nor the caller's token takes its place",
    async (_, fault) => {
      fault(fake);
      const before = fake.requests.length;
      const endpoint = createTokenEndpoint({ url: fake.url, ca: null });
      const client = { id: CLIENT.id, secret: new Secret(CLIENT.secret) };
      const placement = { header: "authorization", scheme: "Bearer" };
      const target = { audience: AUDIENCE, scope: SCOPE, allowScopes: [], profile: "rfc8693" } as const;
      const options = {
        ...placement,
        ...target,
        client,
        entry: "e",
        issuer: null,
        timeoutMs: 200,
        negativeTtlMs: 5000,
      };
      const deps = { endpoint, cache: createLookupCache(), now: Date.now, onOutcome: () => {} };
      const chain = [exchangeSource(options, deps), staticSource({ ...placement, value: new Secret("pat") })];
      const step = await createCredentials(new Map([["s", chain]]))("s", ALICE, never);
      expect(step).toMatchObject({ ok: false, reason: "credential_unavailable" });
      expect(JSON.stringify(step)).not.toContain(ALICE.token.reveal());
      expect(fake.requests.length - before).toBe(1);
      endpoint.close();
    },
  );

  it("P2.3-1, 5.7: a caller's token that is over by our clock is not sent anywhere", async () => {
    const before = fake.requests.length;
    expect(await sourceOf(world).get(callerOf("alice", 0))).toMatchObject({ cannotTell: expect.any(String) as string });
    expect(await sourceOf(world).get(callerOf("alice", -30))).toMatchObject({
      cannotTell: expect.any(String) as string,
    });
    expect(fake.requests).toHaveLength(before);
  });

  it("H10: a caller whose time ends leaves the question running for the others, and nothing is asked twice", async () => {
    const { source, clocks } = sourceOf(world);
    const release = Promise.withResolvers<undefined>();
    fake.respond = (response, request) => void release.promise.then(() => fake.honest(response, request));
    const hurried = new AbortController();
    const first = source.get(ALICE, hurried.signal);
    const second = source.get(ALICE, never);
    hurried.abort();
    expect(await first).toMatchObject({ cannotTell: expect.stringContaining("time of this Check") as string });
    release.resolve(undefined);
    foundToken(await second);
    foundToken(await source.get(ALICE, never));
    expect(clocks.asked).toBe(1);
  });

  it("H11: while the IdP asks us to wait, what is at hand is still used", async () => {
    const { get, clocks } = sourceOf(world);
    const token = foundToken(await get(ALICE));
    fake.respond = (response) => response.writeHead(429, { "retry-after": "30" }).end();
    const before = fake.requests.length;
    expect(await get(callerOf("carol"))).toMatchObject({ cannotTell: expect.stringContaining("429") as string });
    expect(await get(callerOf("dora"))).toMatchObject({ cannotTell: expect.stringContaining("to wait") as string });
    expect(foundToken(await get(ALICE))).toBe(token);
    expect([fake.requests.length - before, clocks.asked]).toEqual([1, 3]);
  });

  it("CF-13, D17: one cache for all, and no part of the key is left out", async () => {
    const cache = createLookupCache();
    const endpoints = [fake.url, `${fake.url}?other`].map((url) => createTokenEndpoint({ url, ca: null }));
    let requests = 0;
    fake.respond = (response, request) => {
      requests += 1;
      answerJson(response, 200, granting(`opaque-${requests}`, { scope: request.form.get("scope") ?? "" }));
    };
    const options: ExchangeOptions = {
      ...{ entry: "servers.a.credential[0]", header: "authorization", scheme: "Bearer", profile: "rfc8693" },
      ...{ client: { id: "c", secret: new Secret("s") }, audience: "aud", scope: "x", allowScopes: [] },
      ...{ issuer: null, timeoutMs: 2000, negativeTtlMs: 1 },
    };
    const variants: [Partial<ExchangeOptions>, number, Partial<typeof ALICE>][] = [
      [{}, 0, {}],
      [{ entry: "servers.a.credential[1]" }, 0, {}],
      [{ entry: "servers.b.credential[0]" }, 0, {}],
      [{ audience: "aud2" }, 0, {}],
      [{ scope: "x y" }, 0, {}],
      [{ scope: null }, 0, {}],
      [{ client: { id: "c2", secret: new Secret("s") } }, 0, {}],
      [{}, 1, {}],
      [{}, 0, { issuer: "https://other.example.com" }],
      [{}, 0, { subject: "bob" }],
      [{}, 0, { token: callerOf("alice", 999).token }],
    ];
    const ask = async ([changes, at, who]: (typeof variants)[number]) => {
      const endpoint = endpoints[at] ?? endpoints[0]!;
      const deps = { endpoint, cache, now: Date.now, onOutcome: () => {} };
      return foundToken(await exchangeSource({ ...options, ...changes }, deps).get({ ...ALICE, ...who }, never));
    };
    const first = await Promise.all(variants.map(ask));
    expect(new Set(first).size).toBe(variants.length);
    expect(await Promise.all(variants.map(ask))).toEqual(first);
    expect(requests).toBe(variants.length);
    for (const endpoint of endpoints) endpoint.close();
  });

  it("P4: audience and scope over claims: the IdP is asked for the caller's own, and nobody is served another's", async () => {
    const fake = await startTokenEndpoint();
    fake.respond = (response, request) => {
      const of = `${request.form.get("audience")} ${request.form.get("scope")}`;
      answerJson(response, 200, granting(Buffer.from(of).toString("hex"), { scope: request.form.get("scope") ?? "" }));
    };
    const endpoint = createTokenEndpoint({ url: fake.url, ca: null });
    const options: ExchangeOptions = {
      ...{ entry: "servers.a.credential[0]", header: "authorization", scheme: "", profile: "rfc8693", issuer: null },
      ...{ client: { id: "c", secret: new Secret("s") }, audience: "https://{claim:tenant}.example.com" },
      ...{ scope: "read:{claim:tenant}", allowScopes: [], timeoutMs: 2000, negativeTtlMs: 1 },
    };
    const source = exchangeSource(options, {
      endpoint,
      cache: createLookupCache(),
      now: Date.now,
      onOutcome: () => {},
    });
    const ask = (tenant: unknown) => source.get({ ...ALICE, claims: { tenant } as typeof ALICE.claims }, never);
    for (const tenant of ["acme", "evil", "acme"]) {
      const said = `https://${tenant}.example.com read:${tenant}`;
      expect(Buffer.from(foundToken(await ask(tenant)), "hex").toString()).toBe(said);
    }
    const before = fake.requests.length;
    expect(before).toBe(2);
    for (const odd of [undefined, "a b", "a/../b", "evil.example.com/#", "x y:admin", "a:b", 7, ""])
      expect(await ask(odd)).toHaveProperty("refused");
    expect(fake.requests).toHaveLength(before);
    endpoint.close();
    await fake.close();
  });
});
