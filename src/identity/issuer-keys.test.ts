import type { ServerResponse } from "node:http";
import { afterEach, describe, expect, it, vi } from "vitest";
import { compact, makeKey, startIssuer, type FakeIssuer, type TestKey } from "../../test/fakes/issuer.ts";
import { createIdentity, type IdentityService } from "./identity.ts";
import { createFetch } from "../http/fetch-document.ts";
import { outgoingOf, type Resolve } from "../http/outgoing.ts";
import { jwksUriOf, metadataUrls, type KeysPlace } from "../jose/issuer-urls.ts";
import { fetchKeysAt } from "../jose/jwks-uri.ts";
import { readKeySet } from "../jose/key-set.ts";

const NOW = 1_790_000_000;
const MINUTE = 60_000;
const key = makeKey("k1");
const next = makeKey("k2");
const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const part of open.splice(0)) await part.close();
});

interface Lab {
  fake: FakeIssuer;
  service: IdentityService;
  clock: { ms: number };
}

async function lab(start = true, ...keys: TestKey[]): Promise<Lab> {
  const fake = await startIssuer(...(keys.length > 0 ? keys : [key]));
  const clock = { ms: 0 };
  const issuer = {
    issuer: fake.issuer,
    audiences: ["gateway"],
    algorithms: ["ES256", "RS256"],
    tokenType: "at+jwt" as const,
    jwksUri: `${fake.issuer}/jwks`,
    allowedHosts: [],
    claims: { username: "u", groups: "g", scopes: "s" },
  };
  const service = createIdentity({ issuers: [issuer], now: () => NOW * 1000, monotonic: () => clock.ms });
  open.push(service, fake);
  if (start) await service.start();
  return { fake, service, clock };
}

const tokenOf = (fake: FakeIssuer, by: TestKey, kid = by.kid) =>
  compact(
    by,
    { alg: by.alg, typ: "at+jwt", kid },
    { iss: fake.issuer, aud: "gateway", sub: "alice", exp: NOW + 300, jti: Math.random() },
  );

async function verdict({ service }: Lab, text: string, timeoutMs = 2000): Promise<string> {
  const step = await service.identify(text, "r", AbortSignal.timeout(timeoutMs));
  return step.ok ? "ok" : step.reason;
}

describe("F1: a thread that takes over", () => {
  it("verifies with the keys of the one before, without a fetch, and takes them for no fresher than they are", async () => {
    const at = await lab();
    const issuers = [
      {
        ...{ issuer: at.fake.issuer, audiences: ["gateway"], algorithms: ["ES256"], tokenType: "at+jwt" as const },
        ...{ jwksUri: `${at.fake.issuer}/jwks`, allowedHosts: [], claims: { username: "u", groups: "g", scopes: "s" } },
      },
    ];
    const told: Uint8Array[] = [];
    const monotonic = () => 0;
    const first = createIdentity({ issuers, now: () => NOW * 1000, monotonic, onKeys: (_, bytes) => told.push(bytes) });
    await first.start();
    first.close();
    await at.fake.close();
    const text = tokenOf(at.fake, key);
    const verdictWith = async (bytes: Uint8Array, ageMs: number) => {
      const next = createIdentity({ issuers, now: () => NOW * 1000, monotonic, keptKeys: () => ({ bytes, ageMs }) });
      open.push(next);
      return [next.ready(), await verdict({ ...at, service: next }, text)];
    };
    expect(told).toHaveLength(1);
    expect(await verdictWith(told[0]!, MINUTE)).toEqual([true, "ok"]);
    expect((await verdictWith(told[0]!, 25 * 60 * MINUTE))[1]).toBe("keys_unavailable");
    expect(await verdictWith(Buffer.from("{}"), MINUTE)).toEqual([false, "keys_unavailable"]);
  });
});

describe("the issuer's life", () => {
  it("P5.1-1, A36: a new key is taken after one fetch, a withdrawn one dies with its cached tokens", async () => {
    const at = await lab();
    const old = tokenOf(at.fake, key);
    expect(await verdict(at, old)).toBe("ok");
    at.fake.publish(next);
    at.clock.ms = MINUTE;
    expect(await verdict(at, tokenOf(at.fake, next))).toBe("ok");
    expect(at.fake.fetches).toBe(2);
    expect(await verdict(at, old)).toBe("token_invalid");
  });

  it("A32, P5.1-3: a flood of unknown kids costs one fetch per cool-down, and known keys go on", async () => {
    const at = await lab();
    at.clock.ms = MINUTE;
    const verdicts = new Set(
      await Promise.all(Array.from({ length: 1000 }, (_, i) => verdict(at, tokenOf(at.fake, next, `x${i}`)))),
    );
    expect([...verdicts]).toEqual(["token_invalid"]);
    expect(at.fake.fetches).toBe(2);
    expect(await verdict(at, tokenOf(at.fake, key))).toBe("ok");
    at.clock.ms = 2 * MINUTE;
    await verdict(at, tokenOf(at.fake, next));
    expect(at.fake.fetches).toBe(3);
  });

  it("A33: down at the start is not ready and 503, never 401; it heals by itself", async () => {
    const at = await lab(false);
    at.fake.respond = (response) => response.destroy();
    await at.service.start();
    expect(at.service.ready()).toBe(false);
    expect(await verdict(at, tokenOf(at.fake, key))).toBe("keys_unavailable");
    at.fake.publish(key);
    const end = Date.now() + 5000;
    while (!at.service.ready() && Date.now() < end) await new Promise((done) => setTimeout(done, 50));
    expect(await verdict(at, tokenOf(at.fake, key))).toBe("ok");
  });

  it("A33, P5.2-1: down later, known keys serve for a day, unknown ones are 503", async () => {
    const at = await lab();
    at.fake.respond = (response) => response.writeHead(500).end();
    at.clock.ms = 60 * MINUTE;
    const cached = tokenOf(at.fake, key);
    expect(await verdict(at, cached)).toBe("ok");
    expect(await verdict(at, tokenOf(at.fake, next))).toBe("keys_unavailable");
    at.clock.ms = 25 * 60 * MINUTE;
    expect(await verdict(at, tokenOf(at.fake, key))).toBe("keys_unavailable");
    expect(await verdict(at, cached), "a token that was verified before").toBe("keys_unavailable");
  });

  it("A34: a slow issuer does not hold a request beyond its own time", async () => {
    const at = await lab();
    at.fake.respond = () => {};
    at.clock.ms = MINUTE;
    const started = Date.now();
    expect(await verdict(at, tokenOf(at.fake, next), 100)).toBe("keys_unavailable");
    expect(Date.now() - started).toBeLessThan(2000);
    expect(await verdict(at, tokenOf(at.fake, key))).toBe("ok");
  });

  it.each<[string, (response: ServerResponse) => void]>([
    ["a redirect", (r) => r.writeHead(302, { location: "http://169.254.169.254/" }).end()],
    ["HTML", (r) => r.end("<html>")],
    ["no keys", (r) => r.end('{"keys":[]}')],
    ["a list", (r) => r.end("[]")],
    ["an object", (r) => r.end("{}")],
    ["404", (r) => r.writeHead(404).end("{}")],
    [
      "a cut answer",
      (r) => (r.writeHead(200, { "content-length": "9999" }), r.write('{"keys":['), setTimeout(() => r.destroy(), 50)),
    ],
    ["too large", (r) => r.end(JSON.stringify({ keys: [key.jwk], x: "a".repeat(300_000) }))],
    [
      "a private key",
      (r) => r.end(JSON.stringify({ keys: [key.jwk, { ...next.privateKey.export({ format: "jwk" }), kid: "p" }] })),
    ],
    ["duplicate names", (r) => r.end(`{"keys":[],"keys":[${JSON.stringify(key.jwk)}]}`)],
  ])("A35: %s keeps the last good set", async (_, respond) => {
    const at = await lab();
    at.fake.respond = respond;
    at.clock.ms = MINUTE;
    expect(await verdict(at, tokenOf(at.fake, next))).toBe("keys_unavailable");
    expect(await verdict(at, tokenOf(at.fake, key))).toBe("ok");
    expect(at.service.status()[0]).toMatchObject({ keys: 1 });
    expect(at.service.status()[0]?.lastError).not.toBeNull();
  });
});

describe("F15: unknown kids and a rotation", () => {
  it("garbage all the time: at most a fetch per 5 s, and a new key counts within 5 s; never 401 before it was asked for", async () => {
    const at = await lab();
    const verdicts: string[] = [];
    let published = -1;
    let accepted = -1;
    for (let second = 300; second < 360; second += 1) {
      at.clock.ms = second * 1000;
      await verdict(at, tokenOf(at.fake, next, `garbage ${second}`.replace(" ", "-")));
      await verdict(at, tokenOf(at.fake, next, `more-${second}`));
      if (second === 331) at.fake.publish(key, next);
      if (second === 331) published = second;
      if (published === -1 || accepted !== -1) continue;
      verdicts.push(await verdict(at, tokenOf(at.fake, next)));
      if (verdicts.at(-1) === "ok") accepted = second;
    }
    expect(accepted - published).toBeLessThanOrEqual(5);
    expect(new Set(verdicts)).toEqual(new Set(["keys_unavailable", "ok"]));
    expect(at.fake.fetches).toBeLessThanOrEqual(1 + 60 / 5);
  });

  it("a kid that the issuer does not have is 401 as soon as it was asked, also within the cool-down", async () => {
    const at = await lab();
    at.clock.ms = MINUTE;
    expect(await verdict(at, tokenOf(at.fake, next, "withdrawn"))).toBe("token_invalid");
    at.clock.ms += 1000;
    expect(await verdict(at, tokenOf(at.fake, next, "withdrawn"))).toBe("token_invalid");
    expect(await verdict(at, tokenOf(at.fake, next, "other"))).toBe("keys_unavailable");
    at.clock.ms += 4000;
    expect(await verdict(at, tokenOf(at.fake, next, "other"))).toBe("token_invalid");
    expect(at.fake.fetches).toBe(3);
  });

  it("the fetch at the end of the cool-down happens by itself, once for all who asked", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const at = await lab();
      for (let i = 0; i < 50; i += 1) await verdict(at, tokenOf(at.fake, next, `x${i}`));
      expect(at.fake.fetches).toBe(1);
      at.clock.ms = 5000;
      vi.advanceTimersByTime(5000);
      vi.useRealTimers();
      await vi.waitFor(() => expect(at.fake.fetches).toBe(2), { timeout: 5000 });
      await vi.waitFor(async () => expect(await verdict(at, tokenOf(at.fake, next, "x7"))).toBe("token_invalid"));
      expect(at.fake.fetches).toBe(2);
    } finally {
      vi.useRealTimers();
    }
  });

  it("a kid that is asked for while a fetch is under way was not asked for by it", async () => {
    const at = await lab();
    at.clock.ms = MINUTE;
    let answer = () => {};
    at.fake.respond = (response) => (answer = () => response.end(JSON.stringify({ keys: [key.jwk] })));
    const first = verdict(at, tokenOf(at.fake, next, "first"));
    await vi.waitFor(() => expect(at.fake.fetches).toBe(2));
    at.clock.ms += 100;
    const second = verdict(at, tokenOf(at.fake, next, "second"));
    await new Promise((done) => setImmediate(done));
    answer();
    expect([await first, await second]).toEqual(["token_invalid", "keys_unavailable"]);
  });
});

describe("A03, A04, A37, M7: which keys are usable", () => {
  const read = (...jwks: object[]) => {
    const set = readKeySet(Buffer.from(JSON.stringify({ keys: jwks })));
    return typeof set === "string"
      ? set.split("; ")
      : [...set.values()].map((entry) => `${entry.kid} ${entry.algorithms.join("|")}`);
  };
  const rsa = makeKey("r", "RS256");
  const weak = makeKey("w", "RS256", { bits: 1024 });
  const three = makeKey("e3", "RS256", { exponent: 3 });
  const WEAK = "key 1: RSA below 2048 or above 8192 bits, or with a weak exponent";
  it.each<[string, object[], unknown]>([
    ["an EC key", [key.jwk], ["k1 ES256"]],
    ["without alg: its curve says", [{ ...key.jwk, alg: undefined }], ["k1 ES256"]],
    ["RSA without alg: its family", [{ ...rsa.jwk, alg: undefined }], ["r RS256|RS384|RS512|PS256|PS384|PS512"]],
    ["Ed25519", [makeKey("ed", "EdDSA").jwk], ["ed EdDSA"]],
    ["alg of another type", [key.jwk, { ...rsa.jwk, alg: "ES256" }], ["k1 ES256"]],
    [
      "alg of another curve",
      [{ ...key.jwk, alg: "ES384" }],
      ["no usable key", "key 1: a type, curve or alg that verifies no token"],
    ],
    ["HS256", [{ ...key.jwk, alg: "HS256" }], ["no usable key", "key 1: a type, curve or alg that verifies no token"]],
    ["RSA 1024", [weak.jwk], ["no usable key", WEAK]],
    ["exponent 3", [three.jwk], ["no usable key", WEAK]],
    ["exponent 1", [{ ...rsa.jwk, e: "AQ" }], ["no usable key", WEAK]],
    ["even exponent", [{ ...rsa.jwk, e: "AQAC" }], ["no usable key", WEAK]],
    [
      "off the curve",
      [{ ...key.jwk, y: key.jwk["x"] }],
      ["no usable key", "key 1: not a point of its curve, or not a number"],
    ],
    ["symmetric", [{ kty: "oct", k: "AAAA", kid: "s" }], ["a private key is published"]],
    ["for encryption", [{ ...key.jwk, use: "enc" }], ["no usable key", "key 1: use is not sig"]],
    ["key_ops sign", [{ ...key.jwk, key_ops: ["sign"] }], ["no usable key", "key 1: key_ops without verify"]],
    ["without kid", [{ ...key.jwk, kid: undefined }], [" ES256"]],
    ["without kid, beside one with", [{ ...key.jwk, kid: undefined }, rsa.jwk], [" ES256", "r RS256"]],
    [
      "two without kid",
      [
        { ...key.jwk, kid: undefined },
        { ...next.jwk, kid: undefined },
      ],
      ["no usable key", "several keys without kid"],
    ],
    ["an empty kid", [{ ...key.jwk, kid: "" }], ["no usable key", "key 1: a kid that is no visible ASCII"]],
    ["a kid that is no text", [{ ...key.jwk, kid: 7 }], ["no usable key", "key 1: a kid that is no visible ASCII"]],
    ["the same key twice", [key.jwk, key.jwk], ["k1 ES256"]],
    [
      "the same key twice without kid",
      [
        { ...key.jwk, kid: undefined },
        { ...key.jwk, kid: undefined },
      ],
      [" ES256"],
    ],
    [
      "the same key for two algorithms",
      [
        { ...rsa.jwk, alg: "RS256" },
        { ...rsa.jwk, alg: "PS256" },
      ],
      ["no usable key", "several keys with the same kid"],
    ],
    [
      "one kid three times, two of them equal",
      [key.jwk, { ...next.jwk, kid: "k1" }, key.jwk],
      ["no usable key", "several keys with the same kid"],
    ],
    ["kid twice", [key.jwk, { ...next.jwk, kid: "k1" }], ["no usable key", "several keys with the same kid"]],
    [
      "secp256k1",
      [{ ...key.jwk, crv: "secp256k1" }],
      ["no usable key", "key 1: a type, curve or alg that verifies no token"],
    ],
    ["65 keys", Array.from({ length: 65 }, (_, i) => ({ ...key.jwk, kid: `k${i}` })), ["too many keys"]],
    ["garbage beside a good one", [key.jwk, { kty: 5 }, {}], ["k1 ES256"]],
  ])("%s", (_, jwks, expected) => expect(read(...jwks)).toEqual(expected));
});

describe("A10, CF-36: where metadata may lead", () => {
  const issuer = "https://idp.example.com/realms/a";
  const at = (document: object, allowed: string[] = []) =>
    jwksUriOf(Buffer.from(JSON.stringify(document)), issuer, allowed);
  it.each<[string, object, string[], unknown]>([
    [
      "its own origin",
      { issuer, jwks_uri: "https://idp.example.com/keys" },
      [],
      { url: "https://idp.example.com/keys", chosenBy: "configured" },
    ],
    [
      "an allowed host",
      { issuer, jwks_uri: "https://keys.example.com/k" },
      ["keys.example.com"],
      { url: "https://keys.example.com/k", chosenBy: "document" },
    ],
    ["another host", { issuer, jwks_uri: "https://evil.example.com/k" }, [], expect.stringContaining("allowedHosts")],
    [
      "another issuer's document",
      { issuer: "https://evil", jwks_uri: "https://idp.example.com/k" },
      [],
      expect.stringContaining("another issuer"),
    ],
    ["plain http", { issuer, jwks_uri: "http://idp.example.com/k" }, [], expect.stringContaining("https")],
    ["user info", { issuer, jwks_uri: "https://a@idp.example.com/k" }, [], expect.stringContaining("no jwks_uri")],
    ["none", { issuer }, [], expect.stringContaining("no jwks_uri")],
  ])("%s", (_, document, allowed, expected) => expect(at(document, allowed)).toEqual(expected));

  it.each<[string, object, string]>([
    ["names another issuer", { issuer: "https://evil.example.com", jwks_uri: `${issuer}/keys` }, "another issuer"],
    ["differs by a slash", { issuer: `${issuer}/`, jwks_uri: `${issuer}/keys` }, "another issuer"],
    ["has its keys on another host", { issuer, jwks_uri: "https://evil.example.com/keys" }, "allowedHosts"],
    ["has them on another port", { issuer, jwks_uri: "https://idp.example.com:8443/keys" }, "allowedHosts"],
  ])(
    "H08: metadata that %s is refused: nobody is verified by it, and nothing is fetched from there",
    async (_, document, part) => {
      const asked: string[] = [];
      const fetcher = (url: string) => {
        asked.push(url);
        const json = (status: number, value: object) =>
          Promise.resolve({ status, headers: {}, body: Buffer.from(JSON.stringify(value)) });
        if (url.includes("/keys")) return json(200, { keys: [key.jwk] });
        return asked.length === 1 ? json(200, document) : json(404, {});
      };
      const claims = { username: "u", groups: "g", scopes: "s" };
      const options = { issuer, audiences: ["gateway"], algorithms: ["ES256"], tokenType: "at+jwt", claims } as const;
      const issuers = [{ ...options, jwksUri: null, allowedHosts: [] }];
      const service = createIdentity({ issuers, now: () => NOW * 1000, fetch: fetcher });
      open.push(service);
      await service.start();
      const token = { iss: issuer, aud: "gateway", sub: "alice", exp: NOW + 300 };
      const signed = compact(key, { alg: "ES256", typ: "at+jwt", kid: "k1" }, token);
      expect(await service.identify(signed, "r", AbortSignal.timeout(2000))).toMatchObject({
        reason: "keys_unavailable",
      });
      expect(service.status()).toMatchObject([{ keys: 0, lastError: expect.stringContaining(part) as string }]);
      expect(asked).toEqual(metadataUrls(issuer));
    },
  );

  it.each([
    ["idp.example.com", "cdn.example.com", ["127.0.0.1"], [], "outgoing.allow"],
    ["idp.example.com", "cdn.example.com", ["127.0.0.1"], ["cdn.example.com"], "ECONNREFUSED"],
    ["idp.example.com", "cdn.example.com", ["169.254.169.254"], ["cdn.example.com"], "LINK_LOCAL_ADDRESS"],
    ["idp.example.com", "169.254.169.254", [], ["169.254.169.254"], "LINK_LOCAL_ADDRESS"],
    ["idp.example.com", "127.0.0.1", [], [], "outgoing.allow"],
    ["localhost", "127.0.0.1", [], [], "ECONNREFUSED"], // an issuer inside may have its keys inside
    ["idp.example.com", "idp.example.com", ["127.0.0.1"], [], "ECONNREFUSED"],
  ])("a document of %s leads to %s at %j, outgoing.allow %j: %s", async (home, keys, addresses, allow, expected) => {
    const resolve: Resolve = (_, __, callback) =>
      callback(
        null,
        addresses.map((address) => ({ address, family: 4 })),
      );
    const judged = { ...outgoingOf(allow), resolve };
    const at = `http://${home}:1`;
    const document = Buffer.from(JSON.stringify({ issuer: at, jwks_uri: `http://${keys}:1/keys` }));
    const place = jwksUriOf(document, at, [keys]) as KeysPlace;
    await expect(fetchKeysAt(place, createFetch(null, { maxBytes: 9, timeoutMs: 2000 }, judged))).rejects.toThrow(
      expected,
    );
  });

  it("RFC 8414 and OpenID forms", () => {
    expect(metadataUrls(issuer)).toEqual([
      "https://idp.example.com/realms/a/.well-known/openid-configuration",
      "https://idp.example.com/.well-known/oauth-authorization-server/realms/a",
      "https://idp.example.com/.well-known/openid-configuration/realms/a",
    ]);
  });
});
