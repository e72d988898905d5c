// A credential of several headers, one in the query, and one that is signed for each call, on their way through the broker.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestBroker, type TestBroker } from "../../../test/fakes/broker.ts";
import { reasonOf } from "../../../test/fakes/broker-client.ts";
import { startEraServer, type EraServer } from "../../../test/fakes/mcp-server.ts";
import { inQuery, writeMore } from "../../authz/credential-parts.ts";
import type { Credential } from "../../authz/types.ts";
import { Secret } from "../../secret/secret.ts";

const CANARY = "query value canary/+&=?%";
let modern: EraServer;
let legacy: EraServer;
let broker: TestBroker;

beforeAll(async () => {
  modern = await startEraServer("modern");
  legacy = await startEraServer("legacy");
  broker = await startTestBroker({
    s: { url: modern.url, headers: ["dd-api-key", "dd-application-key"] },
    q: { url: `${modern.url}?fixed=1`, headers: [inQuery("api_key")] },
    down: { url: "http://127.0.0.1:1/mcp", headers: [inQuery("api_key")] },
    signed: { url: legacy.url, headers: ["authorization"] },
    open: { url: modern.url, headers: ["x-assertion"] },
  });
});
afterAll(async () => {
  await broker.close();
  await modern.close();
  await legacy.close();
});

const secret = (text: string) => new Secret(text);
const more = (parts: Partial<Credential>) =>
  writeMore({ kind: "vault", header: "authorization", value: secret("x"), ...parts }) ?? undefined;
const pathOf = (server: EraServer) => server.of("tools/call").at(-1)?.path;
const headersOf = (server: EraServer) => server.of("tools/call").at(-1)?.headers ?? {};

describe("two headers for one server", () => {
  const first = { "x-upstream-authorization": "one", "x-upstream-header": "dd-api-key" };
  it("both reach it, and nothing of ours", async () => {
    const others = more({ more: [{ header: "dd-application-key", value: secret("two") }] });
    expect((await broker.call({ headers: { ...first, "x-upstream-more": others } })).status).toBe(200);
    expect(headersOf(modern)).toMatchObject({ "dd-api-key": "one", "dd-application-key": "two" });
    expect(Object.keys(headersOf(modern)).filter((name) => name.startsWith("x-upstream"))).toEqual([]);
  });
  it.each([
    ["a header that the chain does not fill", more({ more: [{ header: "x-admin", value: secret("1") }] })],
    ["the main header again", more({ more: [{ header: "dd-api-key", value: secret("1") }] })],
    ["a place in the query", more({ more: [{ header: inQuery("api_key"), value: secret("1") }] })],
    ["no header value", more({ more: [{ header: "dd-application-key", value: secret("a\r\nb: c") }] })],
    ["an empty text", ""],
    ["no JSON", "%%%"],
    ["another JSON", Buffer.from("[1]").toString("base64url")],
    [
      "a number for a value",
      Buffer.from('{"headers":[["dd-application-key",1]],"session":null}').toString("base64url"),
    ],
    ["a name twice", Buffer.from('{"headers":[["a","1"],["a","2"]],"session":null}').toString("base64url")],
  ])("%s is refused, and reaches nobody", async (_, others) => {
    const before = modern.requests.length;
    const reply = await broker.call({ headers: { ...first, "x-upstream-more": others } });
    expect([reply.status, reasonOf(reply.messages[0])]).toEqual([503, "credential_unavailable"]);
    expect(modern.requests).toHaveLength(before);
  });
});

describe("CF-37: in the query", () => {
  const headers = { "x-upstream-authorization": CANARY, "x-upstream-header": inQuery("api_key") };
  it("it stands behind the server's own query, escaped, and in no header", async () => {
    expect((await broker.call({ server: "q", headers })).status).toBe(200);
    const url = new URL(pathOf(modern) ?? "", "http://x");
    expect([...url.searchParams]).toEqual([
      ["fixed", "1"],
      ["api_key", CANARY],
    ]);
    expect(JSON.stringify(headersOf(modern))).not.toContain("canary");
  });
  it("another parameter is refused", async () => {
    const reply = await broker.call({ server: "q", headers: { ...headers, "x-upstream-header": inQuery("role") } });
    expect(reasonOf(reply.messages[0])).toBe("credential_unavailable");
  });
  it("it is in no error and no line of the log", async () => {
    const reply = await broker.call({ server: "down", headers });
    expect(reply.status).toBeGreaterThanOrEqual(500);
    for (const text of [JSON.stringify(reply), JSON.stringify(broker.log), JSON.stringify(broker.observed)])
      expect(text).not.toMatch(/canary|api_key/);
  });
});

describe("CF-16: values that are signed for one call", () => {
  it("calls of one caller share a session; another meaning is another session", async () => {
    const call = (jws: string, stable: string) =>
      broker.call({
        server: "signed",
        headers: {
          "x-upstream-authorization": jws,
          "x-upstream-more": more({ kind: "assertion", value: secret(jws), stable }),
        },
      });
    const opened = () => legacy.of("initialize").length;
    expect((await call("Bearer one", "alice")).status).toBe(200);
    const before = opened();
    expect((await call("Bearer two", "alice")).status).toBe(200);
    expect([opened(), headersOf(legacy)["authorization"]]).toEqual([before, "Bearer two"]);
    expect((await call("Bearer three", "alice, promoted")).status).toBe(200);
    expect(opened()).toBe(before + 1);
  });
});
