// A server that refuses the credential of a call with 401: the call is sent once more, with one that serve fetched anew.
import { describe, expect, it } from "vitest";
import { CREDENTIAL, reasonOf, type BrokerReply } from "../../../test/fakes/broker-client.ts";
import { startTestBroker } from "../../../test/fakes/broker.ts";
import { relayFixture } from "../../../test/fakes/relay.ts";
import {
  answerOk,
  json,
  startEraServer,
  startFakeServer,
  stream,
  type Arrival,
} from "../../../test/fakes/mcp-server.ts";
import { destinationOf } from "../../authz/destination.ts";
import { Secret } from "../../secret/secret.ts";
import type { RelayCall } from "./admit.ts";
import { createRefetching, type Refetch } from "./refetch.ts";

const MORE = Buffer.from(JSON.stringify({ headers: [["x-admin", "1"]], session: null })).toString("base64url");
/** For the destination of the server, which is known once it runs. */
const HERE = "DESTINATION";
const NEW = "Bearer renewed-credential-canary";
const { closing } = relayFixture();

/** A server that takes one credential, and a broker whose serve has another for it. */
async function setup(era: "modern" | "sessions", refetch: (call: RelayCall) => string | null, taken = NEW) {
  const server = await startEraServer(era);
  const asked: string[] = [];
  const state = { taken };
  server.onAny = ({ headers }, response) => {
    if (headers.authorization === state.taken) return false;
    json(response, 401, { error: "invalid_token" });
    return true;
  };
  const ask: Refetch = async (call) => {
    asked.push(`${call.wristband.sub} ${call.upstream.name} ${call.credential?.value.reveal() ?? ""}`);
    const value = refetch(call);
    return value === null ? null : { header: "authorization", value: new Secret(value) };
  };
  const broker = await startTestBroker({ s: { url: server.url } }, { refetch: ask });
  closing.push(
    () => server.close(),
    () => broker.close(),
  );
  const sent = () => server.of("tools/call").map(({ headers }) => headers.authorization);
  return { server, broker, asked, state, sent };
}

const told = (reply: BrokerReply) => [reply.status, reasonOf(reply.message)];

describe.each(["modern", "sessions"] as const)("P2.4-5: a server (%s) that answers 401", (era) => {
  it("gets the call once more, with the new credential, and the caller sees her answer alone", async () => {
    const { broker, asked, sent } = await setup(era, () => NEW);
    expect(told(await broker.call())).toEqual([200, undefined]);
    expect(asked).toEqual([`alice s ${CREDENTIAL}`]);
    expect(sent().at(-1)).toBe(NEW);
  });
  it("to a server that is known already: the same", async () => {
    const { broker, asked, state, sent } = await setup(era, () => NEW, CREDENTIAL);
    expect(told(await broker.call())).toEqual([200, undefined]);
    state.taken = NEW;
    expect(told(await broker.call())).toEqual([200, undefined]);
    expect([asked.length, sent()]).toEqual([1, [CREDENTIAL, CREDENTIAL, NEW]]);
  });
  it("always: each call asks once and is sent twice, and the caller is told as without", async () => {
    const { broker, asked, state, sent } = await setup(era, () => NEW, CREDENTIAL);
    await broker.call();
    state.taken = "nothing";
    for (let i = 0; i < 3; i += 1) expect(told(await broker.call())).toEqual([502, "upstream_unavailable"]);
    expect(asked).toHaveLength(3);
    // In a session its handshake is refused for the new credential: the call is not sent again.
    expect(sent()).toHaveLength(era === "modern" ? 7 : 4);
  });
  it("when there is no other: told as without, and the call is sent once", async () => {
    const { broker, asked, state, sent } = await setup(era, () => null, CREDENTIAL);
    await broker.call();
    state.taken = NEW;
    expect(told(await broker.call())).toEqual([502, "upstream_unavailable"]);
    expect([asked.length, sent().length]).toEqual([1, 2]);
    expect(broker.log.at(-1)).toContain("status_401");
  });
  it.each([400, 403, 404, 500])("and for no other status (%i)", async (status) => {
    const { broker, server, asked } = await setup(era, () => NEW, CREDENTIAL);
    await broker.call();
    server.onCall = (_, response) => json(response, status, "{}");
    expect((await broker.call()).status).toBeGreaterThanOrEqual(400);
    expect(asked).toEqual([]);
  });
});

it.each([403, 404, 500, 503])("a handshake that ends with %i asks for nothing", async (status) => {
  const { broker, server, asked } = await setup("sessions", () => NEW, CREDENTIAL);
  server.onAny = (_, response) => (json(response, status, "{}"), true);
  expect((await broker.call()).status).toBeGreaterThanOrEqual(500);
  expect(asked).toEqual([]);
});

it("never once a part of the answer was passed on, nor for the rest of a stream", async () => {
  const { broker, server, asked } = await setup("sessions", () => NEW, CREDENTIAL);
  const progress = `id: 1\nretry: 500\ndata: ${JSON.stringify({ jsonrpc: "2.0", method: "notifications/message", params: { level: "info", data: "x" } })}\n\n`;
  server.onCall = (_, response) => stream(response, [progress]);
  server.onAny = ({ http }, response) => http === "GET" && (json(response, 401, "{}"), true);
  const reply = await broker.call({ headers: { accept: "application/json, text/event-stream" } });
  expect(reply.text).toContain("upstream_unavailable");
  expect([asked, server.of("tools/call").length]).toEqual([[], 1]);
});

describe("the question to serve", () => {
  async function serve(answer: string, status = 200) {
    const fake = await startFakeServer(
      (_, response) => void response.writeHead(status).end(answer.replaceAll(HERE, destinationOf(server.url))),
    );
    closing.push(() => fake.close());
    const results: string[] = [];
    const options = { isTls: false, ca: null, serverName: null, timeoutMs: 500 };
    const refetching = createRefetching({ ...options, observe: (...result) => results.push(result.join(" ")) });
    closing.push(async () => refetching.close());
    const server = await startEraServer("modern", ({ headers, ...rest }: Arrival, response) =>
      headers.authorization === NEW ? answerOk({ headers, ...rest }, response) : json(response, 401, "{}"),
    );
    const broker = await startTestBroker({ s: { url: server.url } }, { refetch: refetching.refetch });
    closing.push(
      () => server.close(),
      () => broker.close(),
    );
    const refetch = new URL(fake.url).host;
    return { fake, results, server, call: (claims: object = { refetch }) => broker.call({ claims: { ...claims } }) };
  }
  const answer = (header: string, value: unknown) =>
    JSON.stringify({ credential: { header, value, more: null, destination: HERE } });

  it("goes where the wristband says, with the wristband and a proof, and without the credential", async () => {
    const { fake, call, results } = await serve(answer("authorization", NEW));
    expect((await call()).status).toBe(200);
    const [asked] = fake.requests;
    expect([asked?.http, asked?.path, asked?.headers["mcp-authz-refused-by"]]).toEqual([
      "POST",
      "/credential/refetch",
      "s",
    ]);
    expect(asked?.headers["mcp-authz-refused-proof"]).toMatch(/^[\w-]{43}$/);
    expect(JSON.stringify(asked)).not.toContain(CREDENTIAL);
    expect(results).toEqual(["s renewed"]);
  });
  it("is not asked where the wristband names no place", async () => {
    const { fake, call, results } = await serve(answer("authorization", NEW));
    expect((await call({})).status).toBe(502);
    expect([fake.requests, results]).toEqual([[], []]);
  });
  it.each([
    ["none", '{"credential":null}', 200],
    ["a header that is not of the server's chain", answer("x-admin", NEW), 200],
    ["a value that is no header value", answer("authorization", "a\r\nb: c"), 200],
    ["another type", answer("authorization", 7), 200],
    [
      "a member more",
      `{"credential":{"header":"authorization","value":"${NEW}","more":null,"destination":"${HERE}","for":"bob"}}`,
      200,
    ],
    [
      "further parts that the chain does not fill",
      JSON.stringify({ credential: { header: "authorization", value: NEW, more: MORE, destination: HERE } }),
      200,
    ],
    ["further parts in no form", answer("authorization", NEW).replace("null", '"x"'), 200],
    ["no destination", `{"credential":{"header":"authorization","value":"${NEW}","more":null}}`, 200],
    ["F21: another URL of the server", answer("authorization", NEW).replace(HERE, "0123456789abcdef"), 200],
    ["no JSON", "Bearer x", 200],
    ["nothing", "", 200],
    ["too much", `"${"x".repeat(400_000)}"`, 200],
    ["a failure", answer("authorization", NEW), 500],
    ["not found", answer("authorization", NEW), 404],
    ["a redirect", answer("authorization", NEW), 307],
  ])("an answer with %s is none", async (_, text, status) => {
    const { call, results, server } = await serve(text, status);
    expect((await call()).status).toBe(502);
    expect([results, server.of("tools/call").length]).toEqual([["s none"], 1]);
  });
  it("a serve that is gone, or hangs, is none", async () => {
    const { call, results, fake } = await serve("");
    fake.respond = () => {};
    expect((await call()).status).toBe(502);
    await fake.close();
    expect((await call()).status).toBe(502);
    expect(results).toEqual(["s none", "s none"]);
  });
});
