// Delegation: the gateway is the actor of an exchange, by a token of its own.
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { foundToken, sourceOf, type ExchangeWorld } from "../../../test/contract/exchange.ts";
import {
  answerJson,
  AUDIENCE,
  callerOf,
  CLIENT,
  exchangedFor,
  granting,
  ownGrant,
  SCOPE,
  startTokenEndpoint,
  type FakeTokenEndpoint,
  type TokenRequest,
} from "../../../test/fakes/token-endpoint.ts";
import type { JsonValue } from "../../json/types.ts";

const ALICE = callerOf("alice");
const OPAQUE = "2YotnFZFEjr1zCsicMWpAA";
let fake: FakeTokenEndpoint;
let world: ExchangeWorld;

beforeAll(async () => {
  fake = await startTokenEndpoint();
  const target = { audience: AUDIENCE, scope: SCOPE, unknownAudience: "refused", actor: CLIENT.id } as const;
  const caller = (person: string) => Promise.resolve(callerOf(person));
  world = { ...target, tokenEndpoint: fake.url, profile: "rfc8693", client: CLIENT, caller, close: fake.close };
});
afterEach(() => {
  fake.respond = fake.honest;
  fake.requests.length = 0;
});
afterAll(() => fake.close());

const delegating = () => sourceOf(world, {}, true);
const isOwn = ({ form }: TokenRequest) => form.get("grant_type") === "client_credentials";
const asked = () => fake.requests.map((request) => (isOwn(request) ? "own" : "exchange"));
const text = (part: string) => expect.stringContaining(part) as string;

/** What the fake answers to one of the two questions; the other is answered well. */
function answering(what: "own" | "exchange", status: number, body: (request: TokenRequest) => unknown): void {
  fake.respond = (response, request) =>
    isOwn(request) === (what === "own") ? answerJson(response, status, body(request)) : fake.honest(response, request);
}

describe("P2.3-6: mode delegation", () => {
  it("asks for the gateway's own token as the same client, once for all, and sends it as the actor's", async () => {
    const { get, close } = delegating();
    const people = Array.from({ length: 20 }, (_, i) => callerOf(`user-${i}`));
    await Promise.all(people.map(async (person) => foundToken(await get(person))));
    expect(asked().filter((what) => what === "own")).toHaveLength(1);
    const [own, ...exchanges] = fake.requests;
    expect([own?.body, own?.headers.authorization]).toEqual([
      "grant_type=client_credentials",
      exchanges[0]?.headers.authorization,
    ]);
    const sent = new Set(exchanges.map(({ form }) => form.get("actor_token")));
    expect(sent.size).toBe(1);
    expect(people.map(({ token }) => token.reveal())).not.toContain([...sent][0]);
    close();
  });

  it("keeps its own token until shortly before its end, and no longer", async () => {
    const { get, clocks, close } = delegating();
    const later = callerOf("alice", 3600);
    await get(later);
    clocks.ahead = 269_000;
    await get(callerOf("carol", 3600));
    clocks.ahead = 271_000;
    await get(callerOf("dora", 3600));
    expect(asked()).toEqual(["own", "exchange", "exchange", "own", "exchange"]);
    close();
  });

  it("a token of its own that ended early is replaced when something was refused with it", async () => {
    const { get, clocks, close } = delegating();
    await get(ALICE);
    clocks.ahead = 31_000;
    answering("exchange", 400, () => ({ error: "invalid_request" }));
    expect(await get(callerOf("carol"))).toHaveProperty("refused");
    fake.respond = fake.honest;
    foundToken(await get(callerOf("dora")));
    expect(asked()).toEqual(["own", "exchange", "exchange", "own", "exchange"]);
    close();
  });

  it("who is refused again and again does not cost the gateway its own token each time", async () => {
    const { get, close } = delegating();
    answering("exchange", 400, () => ({ error: "invalid_request" }));
    for (let i = 0; i < 50; i += 1) expect(await get(callerOf(`mallory-${i}`))).toHaveProperty("refused");
    expect(asked().filter((what) => what === "own")).toHaveLength(1);
    close();
  });

  it.each<[string, number, Record<string, unknown>, string]>([
    ["refused", 401, { error: "invalid_client" }, "401 invalid_client to client_credentials: see client"],
    ["not offered", 400, { error: "unauthorized_client" }, "400 unauthorized_client to client_credentials"],
    ["an unknown code", 400, { error: "canary-code" }, "answered 400 to"],
    ["down", 503, {}, "answered 503 to"],
    ["200 with an error", 200, { ...ownGrant(), error: "x" }, "with an error"],
    ["no bearer token", 200, { ...ownGrant(), token_type: "DPoP" }, "token_type"],
    ["no token", 200, { ...ownGrant(), access_token: undefined }, "access_token"],
    ["a line break", 200, { ...ownGrant(), access_token: "a\nb" }, "access_token"],
    ["bound to a key", 200, ownGrant({ cnf: { jkt: "x" } }), "bound to a key"],
    ["over", 200, ownGrant({ exp: 1 }), "over already"],
    ["an odd life", 200, { ...ownGrant(), expires_in: -1 }, "expires_in"],
  ])("without a token of its own nobody is exchanged for, and nothing is kept: %s", async (_, status, body, part) => {
    answering("own", status, () => body);
    const { get, close } = delegating();
    expect(await get(ALICE)).toEqual({ cannotTell: text(part) });
    expect(await get(ALICE)).toEqual({ cannotTell: text("the gateway's own token: ") });
    expect(asked()).toEqual(["own", "own"]);
    close();
  });

  it("an opaque token of its own is the client's", async () => {
    answering("own", 200, () => ({ ...ownGrant(), access_token: OPAQUE }));
    const { get, close } = delegating();
    expect(await get(ALICE)).toEqual({ refused: text("400 invalid_request") }); // the fake does not know it
    answering("exchange", 200, () => granting(exchangedFor("alice", AUDIENCE, { act: { sub: CLIENT.id } })));
    foundToken(await get(callerOf("alice", 400)));
    close();
  });
});

describe("H05: a delegation is never silently something else", () => {
  const act = { act: { sub: CLIENT.id } };
  it.each<[string, () => string, string]>([
    ["the IdP ignored the actor", () => exchangedFor("alice"), "the IdP ignored the actor"],
    ["another actor", () => exchangedFor("alice", AUDIENCE, { act: { sub: "mallory" } }), "ignored the actor"],
    ["the gateway below another", () => exchangedFor("alice", AUDIENCE, { act: { sub: "m", ...act } }), "ignored"],
    [
      "the gateway's name at another issuer",
      () => exchangedFor("alice", AUDIENCE, { act: { ...act.act, iss: "https://other.example.com" } }),
      "ignored the actor",
    ],
    ["an actor of another form", () => exchangedFor("alice", AUDIENCE, { act: CLIENT.id }), "ignored the actor"],
    ["the actor as the subject", () => exchangedFor(CLIENT.id, AUDIENCE, act), "sub is not the caller"],
    ["no subject", () => exchangedFor("alice", AUDIENCE, { ...act, sub: undefined }), "no sub"],
    ["an opaque token", () => OPAQUE, "whether it names the actor is unknown"],
  ])("%s: cannot tell", async (_, token, part) => {
    answering("exchange", 200, () => granting(token()));
    const { get, close } = delegating();
    expect(await get(ALICE)).toEqual({ cannotTell: text(part) });
    close();
  });

  it("a chain that the caller's token had already is no sign of this delegation", async () => {
    const before = { ...ALICE, claims: { ...ALICE.claims, ...act }, actors: [act.act.sub] };
    const { get, close } = delegating();
    answering("exchange", 200, () => granting(exchangedFor("alice", AUDIENCE, act)));
    expect(await get(before)).toEqual({ cannotTell: text("ignored the actor") });
    answering("exchange", 200, () => granting(exchangedFor("alice", AUDIENCE, { act: { ...act.act, ...act } })));
    foundToken(await get(before));
    close();
  });

  it("the answer with the gateway's own token is not for alice", async () => {
    answering("exchange", 200, ({ form }) => granting(form.get("actor_token") ?? ""));
    const { get, close } = delegating();
    expect(await get(ALICE)).toHaveProperty("cannotTell");
    close();
  });

  it.each<[string, JsonValue, boolean]>([
    ["the gateway", { sub: CLIENT.id }, true],
    ["another", { sub: "https://other.example.com" }, false],
    ["another case", { sub: CLIENT.id.toUpperCase() }, false],
    ["the gateway of the same issuer", { sub: CLIENT.id, iss: "https://idp.example.com" }, true],
    ["its namesake at another", { sub: CLIENT.id, iss: "https://other.example.com" }, false],
    ["nobody by sub", { client_id: CLIENT.id }, false],
    ["what is malformed", CLIENT.id, false],
  ])("RFC 8693 §4.4: may_act names %s", async (_, party, isAsked) => {
    const { get, close } = delegating();
    const caller = callerOf("alice");
    const answer = await get({ ...caller, claims: { ...caller.claims, may_act: party } });
    if (isAsked) foundToken(answer);
    else expect(answer).toEqual({ refused: text("may_act") });
    expect(asked()).toEqual(isAsked ? ["own", "exchange"] : ["own"]);
    close();
  });

  it("without delegation nothing changes: no actor_token, whoever acts; and the actors of the answer are told", async () => {
    const acting = { ...ALICE, claims: { ...ALICE.claims, act: { sub: "agent" }, may_act: { sub: "agent" } } };
    answering("exchange", 200, () =>
      granting(exchangedFor("alice", AUDIENCE, { act: { sub: "agent", act: { sub: "x".repeat(20) } } })),
    );
    const { get, close } = sourceOf(world, {});
    expect(await get(acting)).toMatchObject({ found: { origin: { actors: ["agent", "x".repeat(20)] } } });
    expect([...(fake.requests[0]?.form.keys() ?? [])]).toEqual([
      ...["grant_type", "subject_token", "subject_token_type", "requested_token_type", "audience", "scope"],
    ]);
    answering("exchange", 200, () => granting(exchangedFor("agent")));
    expect(await get(callerOf("alice", 200))).toEqual({ cannotTell: text("sub is not the caller") });
    close();
  });

  it("P6: an act that echoes a secret does not bring it into the log", async () => {
    answering("exchange", 200, ({ form }) =>
      granting(exchangedFor("alice", AUDIENCE, { act: { sub: (form.get("subject_token") ?? "").slice(0, 200) } })),
    );
    const { get, close } = sourceOf(world, {});
    expect(await get(ALICE)).toMatchObject({ found: { origin: { actors: ["(hidden)"] } } });
    close();
  });
});
