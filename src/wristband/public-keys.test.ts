import type { ServerResponse } from "node:http";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeKey, startIssuer, type FakeIssuer } from "../../test/fakes/issuer.ts";
import type { RemoteKeySet } from "../jose/remote-key-set.ts";
import { createPublicKeys, KEY_SET_LIMITS } from "./public-keys.ts";
import { createFetch } from "../http/fetch-document.ts";

const a = makeKey("a");
const b = makeKey("b");
let serve: FakeIssuer;
let now: number;
let alarms: { run: () => void; at: number }[];
let keys: RemoteKeySet;
const find = (kid: string) => keys.get(kid)?.key;
const isReady = () => keys.status().keys > 0;

/** Runs what is due, in order, until `milliseconds` have passed. */
async function pass(milliseconds: number): Promise<void> {
  const end = now + milliseconds;
  for (;;) {
    const next = alarms.filter(({ at }) => at <= end).sort((x, y) => x.at - y.at)[0];
    if (next === undefined) break;
    alarms = alarms.filter((alarm) => alarm !== next);
    now = next.at;
    const before = serve.fetches;
    next.run();
    while (serve.fetches === before || alarms.length === 0) await new Promise((done) => setImmediate(done));
  }
  now = end;
}

beforeEach(async () => {
  serve = await startIssuer(a);
  now = 0;
  alarms = [];
  keys = createPublicKeys({
    url: `${serve.issuer}/jwks`,
    fetch: createFetch(null, KEY_SET_LIMITS),
    monotonic: () => now,
    random: () => 0.5,
    later: (run, milliseconds) => {
      const alarm = { run, at: now + milliseconds };
      alarms.push(alarm);
      return { cancel: () => (alarms = alarms.filter((other) => other !== alarm)) };
    },
  });
});

afterEach(async () => {
  keys.close();
  await serve.close();
});

it("is ready with the first set, and not before", async () => {
  expect([isReady(), find("a")]).toEqual([false, undefined]);
  await keys.start();
  expect([isReady(), find("a")?.asymmetricKeyType, keys.status().lastError]).toEqual([true, "ec", null]);
});

it("A36: a key that is no longer published is gone with the next fetch; one that stays is the same object", async () => {
  serve.publish(a, b);
  await keys.start();
  const kept = find("b");
  serve.publish(b);
  await pass(10_000);
  expect([find("a"), find("b")]).toEqual([undefined, kept]);
  expect(find("b")).toBe(kept);
});

it("a kid that was given to another key means that key", async () => {
  await keys.start();
  const before = find("a");
  serve.publish({ ...b, kid: "a", jwk: { ...b.jwk, kid: "a" } });
  await pass(10_000);
  expect(find("a")).not.toBe(before);
});

it("F06, A32: many who ask for a new key wait for one fetch, a second after the last", async () => {
  await keys.start();
  serve.publish(a, b);
  const waiting = Promise.all(Array.from({ length: 1000 }, () => keys.refresh()));
  expect(find("b")).toBeUndefined();
  await pass(1000);
  await waiting;
  expect([serve.fetches, find("b") !== undefined]).toEqual([2, true]);
});

it("close ends the waiting", async () => {
  await keys.start();
  const waiting = keys.refresh();
  keys.close();
  await waiting;
  await keys.refresh();
  expect(serve.fetches).toBe(1);
});

describe("A33, A35, A37: an answer that is no good keeps the last set", () => {
  const json = (value: unknown) => (response: ServerResponse) => response.end(JSON.stringify(value));
  const p384 = makeKey("c", "ES384");
  const rsa = makeKey("d", "RS256");
  const cases: [string, (response: ServerResponse) => void][] = [
    ["500", (response) => response.writeHead(500).end()],
    ["a redirect", (response) => response.writeHead(302, { location: "/elsewhere" }).end()],
    ["HTML", (response) => response.end("<html>")],
    ["nothing", (response) => response.end()],
    ["{}", json({})],
    ["no keys", json({ keys: [] })],
    ["a list", json([a.jwk])],
    ["65 keys", json({ keys: Array.from({ length: 65 }, (_, i) => ({ ...a.jwk, kid: `k${i}` })) })],
    ["a private key", json({ keys: [{ ...b.jwk, ...b.privateKey.export({ format: "jwk" }), kid: "b" }] })],
    ["P-384", json({ keys: [b.jwk, p384.jwk] })],
    ["RSA", json({ keys: [b.jwk, rsa.jwk] })],
    ["a shared secret", json({ keys: [{ kty: "oct", k: "AAAA", kid: "b" }] })],
    ["a point off the curve", json({ keys: [{ ...b.jwk, y: a.jwk["y"] }] })],
    ["a short coordinate", json({ keys: [{ ...b.jwk, x: "AA" }] })],
    ["a kid twice", json({ keys: [b.jwk, { ...a.jwk, kid: "b" }] })],
    ["no kid", json({ keys: [{ ...b.jwk, kid: undefined }] })],
    ["another algorithm", json({ keys: [{ ...b.jwk, alg: "ES384" }] })],
    ["a key for encryption", json({ keys: [{ ...b.jwk, use: "enc" }] })],
    ["a good key beside a point off the curve", json({ keys: [b.jwk, { ...a.jwk, kid: "x", y: b.jwk["x"] }] })],
    ["a good key beside one without kid", json({ keys: [b.jwk, { ...a.jwk, kid: undefined }] })],
    ["a good key beside one for encryption", json({ keys: [b.jwk, { ...a.jwk, kid: "x", use: "enc" }] })],
    ["a good key beside a kid twice", json({ keys: [b.jwk, { ...a.jwk, kid: "x" }, { ...a.jwk, kid: "x" }] })],
    ["a good key beside no key", json({ keys: [b.jwk, {}] })],
    ["a name twice", (response) => response.end(`{"keys":[],"keys":[${JSON.stringify(b.jwk)}]}`)],
    ["too many bytes", (response) => response.end(JSON.stringify({ keys: [b.jwk], x: "x".repeat(70_000) }))],
    [
      "too many bytes once inflated",
      (response) => {
        response.writeHead(200, { "content-encoding": "gzip" });
        response.end(gzipSync(JSON.stringify({ keys: [b.jwk], x: "x".repeat(10_000_000) })));
      },
    ],
    ["a broken answer", (response) => response.writeHead(200, { "content-length": 500 }).destroy()],
  ];

  it.each(cases)("%s", async (_, respond) => {
    await keys.start();
    serve.respond = respond;
    await pass(10_000);
    expect([find("a") !== undefined, find("b")]).toEqual([true, undefined]);
    expect(keys.status().lastError).not.toBeNull();
    serve.publish(b);
    await pass(500);
    expect([find("a"), find("b") !== undefined, keys.status().lastError]).toEqual([undefined, true, null]);
  });

  it("a body that never ends is given up", async () => {
    await keys.start();
    let open: ServerResponse | undefined;
    serve.respond = (response) => {
      open = response;
      const more = () => void response.write("x".repeat(65_536), () => setImmediate(more));
      response.writeHead(200);
      more();
    };
    await pass(10_000);
    expect(keys.status().lastError).toContain("too_large");
    open?.destroy();
  });

  it("after an hour without serve nothing is believed any more", async () => {
    await keys.start();
    serve.respond = (response) => response.writeHead(503).end();
    await pass(10_500);
    expect(isReady()).toBe(true);
    alarms = alarms.map((alarm) => ({ ...alarm, at: 3_600_001 }));
    await pass(3_600_001 - now);
    expect([isReady(), find("a")]).toEqual([false, undefined]);
  });
});
