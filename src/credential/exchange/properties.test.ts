import { inspect } from "node:util";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { claimsOf, sourceOf, type ExchangeWorld } from "../../../test/contract/exchange.ts";
import {
  answerJson,
  callerOf,
  CLIENT,
  exchangedFor,
  granting,
  SCOPE,
  startTokenEndpoint,
  type FakeTokenEndpoint,
  type TokenRequest,
} from "../../../test/fakes/token-endpoint.ts";
import type { TokenIdentity } from "../../authz/types.ts";
import { Secret } from "../../secret/secret.ts";
import { createLookupCache } from "../lookup-cache.ts";
import { createCredentials } from "../chain.ts";
import type { Lookup } from "../source.ts";
import { exchangeSource, type ExchangeOptions } from "./source.ts";
import { createTokenEndpoint, type TokenEndpoint } from "./token-endpoint.ts";

let fake: FakeTokenEndpoint;
beforeAll(async () => {
  fake = await startTokenEndpoint();
});
afterAll(() => fake.close());

const never = new AbortController().signal;
const OPTIONS: ExchangeOptions = {
  ...{ entry: "servers.s.credential[0]", header: "authorization", scheme: "Bearer", profile: "rfc8693" },
  ...{ client: { id: CLIENT.id, secret: new Secret(CLIENT.secret) }, audience: "a", scope: SCOPE, allowScopes: [] },
  ...{ issuer: null, timeoutMs: 2000, negativeTtlMs: 5000 },
};
const ignore = () => {};

describe("P5: no crossed credential", () => {
  const users = Array.from({ length: 20 }, (_, i) => callerOf(`user-${i}`));
  const audiences = Array.from({ length: 5 }, (_, i) => `https://s${i}.example.com`);
  const subjectOf = ({ form }: TokenRequest) => String(claimsOf(form.get("subject_token") ?? "")["sub"]);
  const audienceOf = ({ form }: TokenRequest) => form.get("audience") ?? "";
  const right = (request: TokenRequest) => granting(exchangedFor(subjectOf(request), audienceOf(request)));

  type Behaviour = FakeTokenEndpoint["respond"];
  const BEHAVIOURS: readonly Behaviour[] = [
    (response, request) => answerJson(response, 200, right(request)),
    (response, request) => answerJson(response, 200, granting(`opaque ${subjectOf(request)}`.replace(" ", "-"))),
    (response, request) => void setTimeout(() => answerJson(response, 200, right(request)), 3),
    (response) => answerJson(response, 503, {}),
    (response) => answerJson(response, 400, { error: "access_denied" }),
    (response) => response.destroy(),
    (response) => response.end("<html>"),
    (response, request) => answerJson(response, 200, granting(exchangedFor("user-0", audienceOf(request)))),
    (response, request) => answerJson(response, 200, granting(exchangedFor(subjectOf(request), audiences[0]))),
    (response, { form }) => answerJson(response, 200, granting(form.get("subject_token") ?? "")),
  ];

  function belongs(answer: Lookup, user: TokenIdentity, audience: string): boolean {
    if (!("found" in answer)) return true;
    const token = answer.found.value?.reveal().replace("Bearer ", "") ?? "";
    if (token.startsWith("opaque-")) return token === `opaque-${user.subject}`;
    const { sub, aud } = claimsOf(token);
    return sub === user.subject && aud === audience;
  }

  it("20 users, 5 servers, interleaved with failures: everybody gets her own or nothing", async () => {
    const pairs = users.flatMap((user) => audiences.map((audience) => ({ user, audience })));
    const round = fc.record({
      order: fc.shuffledSubarray(pairs, { minLength: pairs.length }),
      behaviours: fc.array(fc.nat(BEHAVIOURS.length - 1), { minLength: 7, maxLength: 31 }),
    });
    let found = 0;
    const property = fc.asyncProperty(fc.array(round, { minLength: 2, maxLength: 3 }), async (rounds) => {
      const endpoint = createTokenEndpoint({ url: fake.url, ca: null });
      const deps = { endpoint, cache: createLookupCache(), now: Date.now, onOutcome: ignore };
      const sources = new Map(
        audiences.map((audience) => [audience, exchangeSource({ ...OPTIONS, entry: audience, audience }, deps)]),
      );
      for (const { order, behaviours } of rounds) {
        let asked = 0;
        fake.respond = (response, request) => {
          const behaviour = BEHAVIOURS[behaviours[asked % behaviours.length] ?? 0];
          asked += 1;
          behaviour?.(response, request);
        };
        const answers = await Promise.all(
          [...order, ...order].map(async ({ user, audience }) => {
            const answer = await sources.get(audience)?.get(user, never);
            return { answer: answer ?? { cannotTell: "" }, user, audience };
          }),
        );
        found += answers.filter(({ answer }) => "found" in answer).length;
        expect(answers.filter(({ answer, user, audience }) => !belongs(answer, user, audience))).toEqual([]);
      }
      endpoint.close();
    });
    await fc.assert(property, { numRuns: 5 });
    expect(found).toBeGreaterThan(100);
  });
});

describe("P6: no secret leaves", () => {
  const ALICE = callerOf("alice");
  const EXCHANGED = exchangedFor("alice", "a");
  const OPAQUE = "exchanged-opaque-canary-0123456789";

  /** A text as it may turn up: as it is, and in every encoding that a careless line would use. */
  const spellings = (text: string) => {
    const bytes = Buffer.from(text);
    const encoded = [bytes.toString("base64"), bytes.toString("base64url"), bytes.toString("hex")];
    return [text, ...encoded, encodeURIComponent(text), new URLSearchParams({ "": text }).toString().slice(1)];
  };
  const parts = (token: string) => token.split(".").filter((part) => part.length > 20);

  function printed(value: unknown): string {
    return `${inspect(value, { depth: 9, showHidden: true })}${JSON.stringify(value)}${String(value)}`;
  }

  const places = [
    "error",
    "error_description",
    "scope",
    "token_type",
    "issued_token_type",
    "expires_in",
    "access_token",
  ];
  const forms: Readonly<Record<string, (secret: string) => string>> = {
    "as it is": (secret) => secret,
    "its first words": (secret) => secret.slice(0, 40),
    "in base64": (secret) => Buffer.from(secret).toString("base64"),
    "in hex": (secret) => Buffer.from(secret).toString("hex"),
    "after another word": (secret) => `x-${secret}`,
  };
  const rows = [200, 400, 401, 500].flatMap((status) =>
    ["the caller's token", "the exchanged token", "the client's secret"].flatMap((what) =>
      Object.keys(forms).map((form) => ({ status, what, form })),
    ),
  );

  it.each(rows)("an answer $status with $what, $form, wherever it can", async ({ status, what, form }) => {
    for (const [token, place] of [EXCHANGED, OPAQUE].flatMap((one) => places.map((place) => [one, place] as const))) {
      const secrets = [ALICE.token.reveal(), token, CLIENT.secret];
      const echoed = what === "the caller's token" ? secrets[0] : what === "the exchanged token" ? token : secrets[2];
      const canary = forms[form]?.(echoed ?? "") ?? "";
      let basic = "";
      const endpoint: TokenEndpoint = {
        url: "https://idp.example.com/token",
        post: async (_, authorization) => {
          basic = authorization?.slice(6) ?? "";
          const body = Buffer.from(JSON.stringify({ ...granting(token), [place]: canary }));
          return { status, headers: { "content-type": "application/json" }, body };
        },
        close: ignore,
      };
      const deps = { endpoint, cache: createLookupCache(), now: Date.now, onOutcome: ignore };
      const source = exchangeSource(OPTIONS, deps);
      const step = await createCredentials(new Map([["s", [source]]]))("s", ALICE, never);
      const text = printed(step) + printed(source) + printed(deps.cache);
      for (const secret of [...secrets, ...parts(ALICE.token.reveal()), basic, canary])
        for (const spelling of spellings(secret)) expect(text).not.toContain(spelling);
    }
  });

  it("faults of the connection say a word, and nothing else", async () => {
    for (const url of ["http://127.0.0.1:1/t", fake.url]) {
      fake.respond = (response) => response.destroy();
      const world: ExchangeWorld = {
        ...{ tokenEndpoint: url, profile: "rfc8693", client: CLIENT, audience: "a", scope: SCOPE },
        ...{ unknownAudience: "refused", actor: null, caller: async () => ALICE, close: async () => {} },
      };
      const text = printed(await sourceOf(world).get(ALICE));
      for (const secret of [ALICE.token.reveal(), CLIENT.secret]) expect(text).not.toContain(secret);
      expect(text).toMatch(/no answer of the token endpoint: (?:ECONNREFUSED|cut_off)/);
    }
  });
});

describe("P12: time", () => {
  const START = 1_790_000_000_000;
  const AUDIENCE = "a";
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  /** A JWT in form; its signature is the upstream's to check. */
  const unsigned = (claims: object) => `${part({ alg: "ES256" })}.${part(claims)}.AAAA`;
  const CALLERS = [100, 1000, 5000].map((ttl, i) => ({ ...callerOf(`user-${i}`), expiresAt: START / 1000 + ttl }));

  interface Issued {
    readonly expiresIn: number | null;
    /** Milliseconds of the clock that never jumps. */
    readonly at: number;
    readonly exp: number | null;
  }

  it("whatever the clocks do, no token is used beyond its life, its exp or its subject's", async () => {
    const step = fc.record({
      passes: fc.integer({ min: 0, max: 400 }),
      jumps: fc.oneof(
        { weight: 3, arbitrary: fc.constant(0) },
        { weight: 1, arbitrary: fc.integer({ min: -4000, max: 4000 }) },
      ),
      frozen: fc.boolean(),
      subject: fc.nat(2),
      expiresIn: fc.option(fc.integer({ min: 1, max: 600 })),
      expIn: fc.option(fc.integer({ min: 1, max: 600 })),
    });
    let found = 0;
    let reused = 0;
    const property = fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const clock = { wall: START, monotonic: 1 };
      const issued = new Map<string, Issued>();
      let next: Pick<Issued, "expiresIn"> & { readonly expIn: number | null } = { expiresIn: null, expIn: null };
      const endpoint: TokenEndpoint = {
        url: "https://idp.example.com/token",
        post: async () => {
          const exp = next.expIn === null ? null : Math.floor(clock.wall / 1000) + next.expIn;
          const token = exp === null ? `opaque-${issued.size}` : unsigned({ aud: AUDIENCE, exp, n: issued.size });
          issued.set(token, { expiresIn: next.expiresIn, at: clock.monotonic, exp });
          const body = Buffer.from(JSON.stringify(granting(token, { expires_in: next.expiresIn ?? undefined })));
          return { status: 200, headers: { "content-type": "application/json" }, body };
        },
        close: ignore,
      };
      const now = () => clock.wall;
      const cache = createLookupCache({ now, monotonic: () => clock.monotonic });
      const source = exchangeSource({ ...OPTIONS, audience: AUDIENCE }, { endpoint, cache, now, onOutcome: ignore });
      const seen = new Set<string>();
      for (const { passes, jumps, frozen, subject, expiresIn, expIn } of steps) {
        clock.wall += (passes + jumps) * 1000;
        if (!frozen) clock.monotonic += passes * 1000; // a machine that sleeps
        next = { expiresIn, expIn };
        const caller = CALLERS[subject] ?? CALLERS[0]!;
        const answer = await source.get(caller, never);
        if (!("found" in answer)) continue;
        found += 1;
        const token = answer.found.value?.reveal().replace("Bearer ", "") ?? "";
        if (seen.has(token)) reused += 1;
        seen.add(token);
        const life = issued.get(token)!;
        expect(clock.wall).toBeLessThan(caller.expiresAt * 1000);
        expect(clock.monotonic - life.at).toBeLessThan((life.expiresIn ?? 60) * 1000);
        if (life.exp !== null) expect(clock.wall).toBeLessThan(life.exp * 1000);
      }
    });
    await fc.assert(property, { numRuns: 200 });
    expect([found > 200, reused > 10]).toEqual([true, true]);
  });
});
