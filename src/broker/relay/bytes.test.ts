// Relayed calls, byte for byte: bodies, paths and headers in both directions.
import { describe, expect, it } from "vitest";
import { reasonOf } from "../../../test/fakes/broker-client.ts";
import { startTestBroker } from "../../../test/fakes/broker.ts";
import {
  event,
  json,
  result,
  startEraServer,
  stream,
  withHeaders,
  type Arrival,
  type FakeEra,
  type OnCall,
} from "../../../test/fakes/mcp-server.ts";
import { CANARY, relayFixture } from "../../../test/fakes/relay.ts";

const { setup, closing } = relayFixture();

describe("bytes go on as they came", () => {
  it("B14: but for null in place of an optional object: policy saw none, so the server gets an empty one", async () => {
    for (const era of ["modern", "legacy"] as const) {
      const { upstream, broker } = await setup(era);
      await broker.call({
        params: { arguments: null, _meta: null, inputResponses: null, requestState: null, own: null },
      });
      const params = upstream.of("tools/call")[0]?.message?.params;
      expect(params).toMatchObject({ arguments: {}, inputResponses: {}, requestState: null, own: null });
      if (era === "legacy") expect(params?.["_meta"]).toEqual({});
      else expect(params?.["_meta"]).toHaveProperty(["io.modelcontextprotocol/clientCapabilities"]);
    }
  });
  const body =
    '{ "method":"tools/call",\n\t"params" : {"arguments":{"n":1.0,"e":1e2,"u":"\\u00e9é","big":9007199254740991,"float":12345678901234567000.0}, "name":"echo"},"id": "a\\u0062" , "jsonrpc":"2.0"}';
  /** What arrived, with the client's id in place of ours. */
  const asSent = (arrival: Arrival | undefined) => arrival?.body.replace(/"id": \d+ /, '"id": "a\\u0062" ');
  it.each<[FakeEra, boolean]>([
    ["modern", true],
    ["legacy", false],
    ["legacy", true],
  ])("to a %s server, modern client %s", async (era, modern) => {
    const { upstream, broker } = await setup(era);
    const meta =
      '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},';
    const sent = modern ? body.replace('"arguments"', `${meta}"arguments"`) : body;
    await broker.call({ body: sent, modern });
    // The members of the revision alone do not go on to an older server.
    const expected = era === "legacy" ? sent.replace(meta, '"_meta":{},') : sent;
    expect(asSent(upstream.of("tools/call").at(-1))).toBe(expected);
  });

  it("LA-02, CL-08: on /mcp only the prefix goes, in body and header", async () => {
    const { upstream, broker } = await setup();
    const meta =
      '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},';
    const sent = body.replace('"name":"echo"', '"name":"s_ec\\u0068o"').replace('"arguments"', `${meta}"arguments"`);
    const reply = await broker.call({ path: "/mcp", body: sent, modern: true });
    expect(reply.status).toBe(200);
    const arrival = upstream.of("tools/call").at(-1);
    expect(asSent(arrival)).toBe(sent.replace('"s_ec\\u0068o"', '"echo"'));
    expect(arrival?.headers["mcp-name"]).toBe("echo");
  });

  it("answers come back byte for byte, with the client's id as she wrote it", async () => {
    const text = '{"jsonrpc":"2.0", "result":{"content":[],"a":1.0,"b":"\\u00e9"} ,"id":ID}';
    const { broker } = await setup("modern", (arrival, response) =>
      json(response, 200, text.replace("ID", String(arrival.message?.id))),
    );
    const reply = await broker.call({ body: body.replace("1e2", "1"), headers: { "mcp-method": "tools/call" } });
    expect(reply.text).toBe(text.replace("ID", '"a\\u0062"'));
  });
});

describe("headers that come back", () => {
  it("MS-10, C27: content-type and cache-control, and nothing of the server's", async () => {
    const evil = {
      "set-cookie": CANARY,
      server: CANARY,
      "x-powered-by": CANARY,
      "www-authenticate": CANARY,
      "mcp-session-id": CANARY,
      "cache-control": "public, max-age=600",
      etag: CANARY,
      "access-control-allow-origin": "*",
      "x-authorized-tools": CANARY,
      location: CANARY,
    };
    const { broker } = await setup("modern", (arrival, response) => {
      if (!arrival.body.includes("stream")) json(withHeaders(response, evil), 200, result(arrival));
      else stream(response, [event(result(arrival))], { headers: evil });
    });
    for (const id of [1, 2]) {
      const isStream = id === 2;
      const params = { arguments: isStream ? { stream: true } : {} };
      const { headers, status } = await broker.call({ id, params });
      expect(status).toBe(200);
      expect(Object.keys(headers).sort()).toEqual(
        ["cache-control", "connection", "content-type", "date", "keep-alive"]
          .concat(isStream ? "transfer-encoding" : "content-length")
          .filter((name) => name in headers)
          .sort(),
      );
      expect(headers["cache-control"]).toBe("no-store");
      expect(headers["content-type"]).toBe(isStream ? "text/event-stream" : "application/json");
      expect(JSON.stringify(headers)).not.toContain(CANARY);
    }
  });
});

describe("errors of the server pass, under the status of the client's era", () => {
  const failing =
    (status: number, code: number): OnCall =>
    (arrival, response) =>
      json(response, status, { jsonrpc: "2.0", id: arrival.message?.id, error: { code, message: "as it said" } });
  it.each<[FakeEra, boolean, number, number, number]>([
    ["modern", true, 200, -32_602, 200],
    ["modern", true, 400, -32_602, 400],
    ["modern", true, 404, -32_601, 404],
    ["modern", true, 404, -32_602, 400],
    ["modern", false, 404, -32_601, 200],
    ["modern", false, 400, -32_602, 200],
    ["legacy", true, 200, -32_601, 404],
    ["legacy", true, 200, -32_602, 200],
    ["legacy", false, 200, -32_601, 200],
    ["legacy", false, 400, -32_602, 400],
    ["sessions", false, 404, -32_602, 200],
  ])("%s server, modern client %s: %i with %i is %i", async (era, modern, status, code, expected) => {
    const { broker } = await setup(era, failing(status, code));
    const reply = await broker.call({ modern, id: "x" });
    expect([reply.status, reply.messages[0]]).toEqual([
      expected,
      { jsonrpc: "2.0", id: "x", error: { code, message: "as it said" } },
    ]);
    expect(broker.observed).toEqual([["s", "answered"]]);
  });
  it("an error of the stateless revision without the id gets it", async () => {
    const error = { code: -32_020, message: "mismatch" };
    const { broker } = await setup("modern", (_, r) => json(r, 400, { jsonrpc: "2.0", id: null, error }));
    const reply = await broker.call({ modern: true });
    expect([reply.status, reply.messages[0]]).toEqual([400, { jsonrpc: "2.0", id: 1, error }]);
  });
});

it("path and query of the server's URL are sent as written", async () => {
  const upstream = await startEraServer("modern");
  const broker = await startTestBroker({ s: { url: `${upstream.origin}/a%2Fb/mcp?tenant=1&x=%20` } });
  closing.push(
    () => upstream.close(),
    () => broker.close(),
  );
  await broker.call();
  expect(new Set(upstream.requests.map(({ path }) => path))).toEqual(new Set(["/a%2Fb/mcp?tenant=1&x=%20"]));
});

describe("F17: arguments that a server reads without regard to case", () => {
  const inputSchema = { type: "object", properties: { force: { type: "boolean" } } };
  it.each([false, true])("are refused, modern client %s; those of the schema go on", async (modern) => {
    const { upstream, broker } = await setup("modern", undefined, { tools: [{ name: "echo", inputSchema }] });
    const reply = await broker.call({ modern, params: { arguments: { Force: true } } });
    expect([reply.status, reasonOf(reply.messages[0])]).toEqual([400, "params_invalid"]);
    expect(upstream.of("tools/call")).toHaveLength(0);
    expect((await broker.call({ modern, params: { arguments: { force: true, other: 1 } } })).status).toBe(200);
  });
});

describe("what is told of a call", () => {
  it("one line each, with nothing of the request or the answer in it", async () => {
    const { broker } = await setup("modern", (arrival, response) =>
      json(response, 200, result(arrival, { a: CANARY })),
    );
    await broker.call({ params: { arguments: { secret: CANARY } } });
    expect(broker.log).toHaveLength(1);
    expect(JSON.parse(broker.log[0] ?? "")).toEqual({
      name: "relayed",
      request_id: expect.any(String) as string,
      server: "s",
      method: "tools/call",
      outcome: "answered",
      ms: expect.any(Number) as number,
    });
  });
});
