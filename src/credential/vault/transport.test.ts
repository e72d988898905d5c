import { describe, expect, it } from "vitest";
import type { HttpAnswer, HttpClient, HttpRequest } from "../../http/client.ts";
import { createTransport } from "./transport.ts";

const ORIGIN = "https://vault.example.com";

/** An HTTP client that notes what it is asked and gives one answer. */
function setUp(answer: Partial<HttpAnswer> = {}) {
  const asked: HttpRequest[] = [];
  const http: HttpClient = {
    open: () => Promise.reject(new Error("not used")),
    fetch: (request) => {
      asked.push(request);
      const headers = { "content-type": "application/json" };
      return Promise.resolve({ status: 200, headers, body: Buffer.from("{}"), ...answer });
    },
    close: () => {},
    drain: () => {},
  };
  return { asked, send: createTransport({ http, origin: ORIGIN, headers: { "x-vault-token": "s.x" } }) };
}

describe("createTransport", () => {
  it.each([
    `${ORIGIN}/v1/secret/data/bob/x`,
    `${ORIGIN}/v1//secret/data/alice/x`,
    `${ORIGIN}/v1/evil/secret/data/alice/x`,
    `https://evil.example.com/v1/secret/data/alice/x`,
    `${ORIGIN}/v1/secret/data/alice/x?version=1`,
  ])("M10: %s is not what we mean, so nothing is sent", async (uri) => {
    const { asked, send } = setUp();
    const options = { method: "GET", uri, meant: "/v1/secret/data/alice/x", limitMs: 100 };
    await expect(send(options)).rejects.toMatchObject({ code: "path_changed" });
    expect(asked).toEqual([]);
  });

  it("sends its own headers and none of node-vault's", async () => {
    const { asked, send } = setUp();
    const meant = "/v1/auth/approle/login";
    const options = { method: "POST", uri: ORIGIN + meant, meant, limitMs: 100, json: { a: 1 } };
    await send({ ...options, ...{ headers: { "X-Vault-Token": "env", "X-Vault-Namespace": "env" } } });
    expect(asked[0]?.headers).toEqual({ "x-vault-token": "s.x", "content-type": "application/json" });
    expect([asked[0]?.path, String(asked[0]?.body)]).toEqual([meant, '{"a":1}']);
  });

  it.each(["application/json", "application/json; charset=utf-8", "Application/JSON"])("takes %s", async (type) => {
    const { send } = setUp({ headers: { "content-type": type } });
    await expect(send({ method: "GET", uri: `${ORIGIN}/v1/x`, meant: "/v1/x", limitMs: 9 })).resolves.toMatchObject({
      statusCode: 200,
    });
  });

  it.each(["", "text/html", "application/json-seq", "text/plain; application/json"])("G09: not %j", async (type) => {
    const { send } = setUp({ headers: { "content-type": type } });
    await expect(send({ method: "GET", uri: `${ORIGIN}/v1/x`, meant: "/v1/x", limitMs: 9 })).rejects.toMatchObject({
      code: "not_json",
    });
  });
});
