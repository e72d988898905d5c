import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { answerJson, startTokenEndpoint, type FakeTokenEndpoint } from "../../../test/fakes/token-endpoint.ts";
import { createTokenEndpoint, pauseOf } from "./token-endpoint.ts";

let fake: FakeTokenEndpoint;
beforeAll(async () => {
  fake = await startTokenEndpoint();
});
afterAll(() => fake.close());

/** An endpoint whose clock the test turns. */
function endpointAt(url = fake.url) {
  const clock = { monotonic: 1_000_000 };
  const endpoint = createTokenEndpoint({ url, ca: null, monotonic: () => clock.monotonic });
  return { clock, endpoint, post: (ms = 2000) => endpoint.post("a=b", "Basic eDp5", ms) };
}

describe("createTokenEndpoint", () => {
  it("P9.3-1, H09: one POST with Basic, to the path as written; nothing secret in the URL", async () => {
    fake.respond = (response) => answerJson(response, 200, {});
    for (const path of ["/token", "/a/b;c=%2e?x=%2F&y", "/?q", "?q"]) {
      await endpointAt(`${new URL(fake.url).origin}${path}`).post();
      const seen = fake.requests.at(-1);
      expect([seen?.method, seen?.path, seen?.body]).toEqual(["POST", path.startsWith("/") ? path : `/${path}`, "a=b"]);
      expect(seen?.headers).toMatchObject({
        authorization: "Basic eDp5",
        "content-type": "application/x-www-form-urlencoded",
        accept: "application/json",
        "content-length": "3",
      });
    }
  });

  it.each<[string, string]>([
    ["connection refused", "http://127.0.0.1:1/token"],
    ["no such host", "http://no-such-host.invalid/token"],
  ])("N01: %s is no answer, and no throw", async (_, url) => {
    expect(await endpointAt(url).post()).toMatch(/^no answer of the token endpoint: E[A-Z_]+$/);
  });

  it("N01: a slow answer is a timeout", async () => {
    fake.respond = () => {};
    expect(await endpointAt().post(30)).toBe("no answer of the token endpoint: timeout");
  });

  it("H01: an endless body is cut", async () => {
    fake.respond = (response) => {
      response.writeHead(200, { "content-type": "application/json" });
      const more = () =>
        void (response.writableEnded || response.destroyed || response.write("x".repeat(16_384), more));
      more();
    };
    expect(await endpointAt().post()).toBe("no answer of the token endpoint: too_large");
  });

  it("H01: 64 KiB pass, one byte more does not", async () => {
    const answer = (size: number) => (fake.respond = (response) => response.end("x".repeat(size)));
    answer(64 * 1024);
    expect(await endpointAt().post()).toMatchObject({ status: 200 });
    answer(64 * 1024 + 1);
    expect(await endpointAt().post()).toBe("no answer of the token endpoint: too_large");
  });

  it("H07: a redirect is an answer, and nobody follows it", async () => {
    const elsewhere = await startTokenEndpoint();
    fake.respond = (response) => response.writeHead(307, { location: elsewhere.url }).end();
    expect(await endpointAt().post()).toMatchObject({ status: 307 });
    expect(elsewhere.requests).toHaveLength(0);
    await elsewhere.close();
  });
});

describe("H11: a 429 stops all questions for as long as it says", () => {
  const limited = (retryAfter: string | null) => {
    fake.respond = (response) =>
      response.writeHead(429, retryAfter === null ? {} : { "retry-after": retryAfter }).end();
  };

  it.each<[string, string | null, number]>([
    ["seconds", "7", 7000],
    ["more than 30 s is 30 s", "86400", 30_000],
    ["unsaid is 1 s", null, 1000],
    ["malformed is 1 s", "soon", 1000],
  ])("%s", async (_, retryAfter, pauseMs) => {
    const { post, clock } = endpointAt();
    limited(retryAfter);
    expect(await post()).toMatchObject({ status: 429 });
    const before = fake.requests.length;
    fake.respond = (response) => answerJson(response, 200, {});
    clock.monotonic += pauseMs - 1;
    expect(await post()).toBe("the token endpoint asked us to wait (429)");
    expect(fake.requests).toHaveLength(before);
    clock.monotonic += 1;
    expect(await post()).toMatchObject({ status: 200 });
  });

  it("a 503 pauses nobody: what is back is used at once", async () => {
    const { post } = endpointAt();
    fake.respond = (response) => response.writeHead(503, { "retry-after": "30" }).end();
    await post();
    fake.respond = (response) => answerJson(response, 200, {});
    expect(await post()).toMatchObject({ status: 200 });
  });

  it("G08: one that does not answer is paused like a Vault, and is asked again a second later", async () => {
    const { post, clock } = endpointAt();
    fake.respond = (response) => response.writeHead(504).end();
    for (let i = 0; i < 5; i += 1) expect(await post()).toMatchObject({ status: 504 });
    const before = fake.requests.length;
    expect(await post()).toBe("the token endpoint is not asked, for it did not answer");
    fake.respond = (response) => response.destroy();
    clock.monotonic += 1000;
    expect(await post()).toContain("no answer of the token endpoint");
    expect(await post()).toContain("is not asked");
    expect(fake.requests).toHaveLength(before + 1);
    fake.respond = (response) => answerJson(response, 200, {});
    clock.monotonic += 1000;
    for (let i = 0; i < 2; i += 1) expect(await post()).toMatchObject({ status: 200 });
  });

  it("attack: one caller's token that the IdP cannot take stops nobody else's", async () => {
    const { post } = endpointAt();
    for (const status of [400, 401, 403, 500]) {
      fake.respond = (response) => answerJson(response, status, { error: "invalid_request" });
      for (let i = 0; i < 6; i += 1) expect(await post()).toMatchObject({ status });
    }
    fake.respond = (response) => answerJson(response, 200, {});
    expect(await post()).toMatchObject({ status: 200 });
  });

  const NOW = Date.parse("2026-11-25T12:00:00Z");
  it.each([
    ["Wed, 25 Nov 2026 12:00:12 GMT", 12_000],
    ["Wed, 25 Nov 2026 13:00:00 GMT", 30_000],
    ["Wed, 25 Nov 2026 11:00:00 GMT", 1000],
    ["0", 1000],
    ["-5", 1000],
    ["1e9", 1000],
    ["99999999999", 30_000],
    ["", 1000],
    [undefined, 1000],
  ])("pauseOf(%j)", (value, ms) => expect(pauseOf(value, NOW)).toBe(ms));
});
