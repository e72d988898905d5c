import { BY_TOKEN } from "../../test/fakes/identity.ts";
import { createHash, createPublicKey } from "node:crypto";
import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { makeKey } from "../../test/fakes/issuer.ts";
import type { Identity, Visible } from "../authz/types.ts";
import { Secret } from "../secret/secret.ts";
import type { WristbandClaims } from "./claims.ts";
import { listedNames, revisedNames, type NameHistory } from "./compact-names.ts";
import type { SigningKey } from "./keys.ts";
import { createSigner } from "./sign.ts";
import { createVerifier } from "./verify.ts";

const NOW = 1_790_000_000;
const parties = { issuer: "https://gw.example.com", audience: "mcp-broker" };
const first = makeKey("k1");
const second = makeKey("k2");
const signing = (...keys: (typeof first)[]): SigningKey[] =>
  keys.map(({ kid, privateKey }) => ({ kid, privateKey, jwk: {} }));

const alice: Identity = {
  issuer: "https://idp.example.com",
  subject: "alice",
  username: "alice",
  groups: [],
  scopes: [],
  ...BY_TOKEN,
  actors: [],
  claims: {},
  expiresAt: NOW + 3600,
  token: new Secret("alices-token"),
};
const shown: Visible = { tools: { github: ["read", "search"] }, prompts: {}, resources: { docs: ["docs://a"] } };

let now: number;
let keys: SigningKey[];
let results: string[];
let sign: ReturnType<typeof createSigner>;
const verify = createVerifier({
  ...parties,
  findKey: (kid) => {
    const found = [first, second].find((key) => key.kid === kid);
    return found && publicKeys.get(found.kid);
  },
  now: () => now,
});
const publicKeys = new Map([first, second].map(({ kid, jwk }) => [kid, createPublicKey({ key: jwk, format: "jwk" })]));

beforeEach(() => {
  now = NOW * 1000;
  keys = signing(first);
  results = [];
  sign = createSigner({
    ...parties,
    ttlSeconds: 300,
    keys: () => keys,
    now: () => now,
    onCache: (result) => results.push(result),
  });
});

function jwsOf(identity = alice, visible = shown): string {
  const step = sign(identity, visible, { use: "list", merged: false });
  return step.ok ? step.value.jws : step.reason;
}

function claimsOf(jws: string): WristbandClaims {
  const step = verify(jws);
  if (!step.ok) throw new Error(step.fault);
  return step.value;
}

it("P2.5-2: says who, for whom, until when, and what, sorted; nothing of the caller's token", () => {
  const visible = {
    tools: { zeta: ["b", "a", "b"], github: ["search", "read"], empty: [] },
    prompts: {},
    resources: {},
  };
  const jws = jwsOf(alice, visible);
  const { jti, ...claims } = claimsOf(jws);
  expect(claims).toEqual({
    client: "",
    iss: parties.issuer,
    aud: parties.audience,
    sub: "alice",
    idp: "https://idp.example.com",
    iat: NOW,
    exp: NOW + 300,
    caller_exp: NOW + 3600,
    use: "list",
    tools: { github: ["read", "search"], zeta: ["a", "b"] },
    prompts: {},
    resources: {},
  });
  expect(Object.keys(claims.tools)).toEqual(["github", "zeta"]);
  expect(jti).toMatch(/^[0-9a-f-]{36}$/);
  expect(Buffer.from(jws.split(".")[1] ?? "", "base64url").toString()).not.toContain("alices-token");
});

it("P9.1-2: key id and issuer as configured, and the tools that policy gave", () => {
  const { privateKey } = first;
  const key = { kid: "wristband-signing-key", privateKey, jwk: {} };
  const issuer = "https://gateway.example.com";
  const signer = createSigner({ ...parties, issuer, ttlSeconds: 300, keys: () => [key], now: () => now });
  const step = signer(
    alice,
    { tools: { github: ["read"] }, prompts: {}, resources: {} },
    { use: "list", merged: false },
  );
  const [header = "", claims = ""] = step.ok ? step.value.jws.split(".") : [];
  const read = (part: string) => JSON.parse(Buffer.from(part, "base64url").toString()) as unknown;
  expect(read(header)).toEqual({ alg: "ES256", typ: "wristband+jwt", kid: "wristband-signing-key" });
  expect(read(claims)).toMatchObject({ iss: issuer, tools: { github: ["read"] } });
});

describe("its life", () => {
  it("ends with the caller's token", () => {
    expect(claimsOf(jwsOf({ ...alice, expiresAt: NOW + 10 })).exp).toBe(NOW + 10);
    for (const expiresAt of [NOW, NOW - 1, Number.NaN])
      expect(sign({ ...alice, expiresAt }, shown, { use: "list", merged: false })).toMatchObject({
        ok: false,
        reason: "token_expired",
      });
  });

  it("is never longer than a verifier believes", () => {
    const long = createSigner({ ...parties, ttlSeconds: 100_000, keys: () => keys, now: () => now });
    const step = long({ ...alice, expiresAt: NOW + 1_000_000 }, shown, { use: "list", merged: false });
    expect(step.ok && verify(step.value.jws).ok).toBe(true);
  });
});

describe("the same signature again", () => {
  it("while more than half of its life is left", () => {
    const jws = jwsOf();
    now += 149_000;
    expect(jwsOf()).toBe(jws);
    now += 1000;
    expect(jwsOf()).not.toBe(jws);
    expect(results).toEqual(["miss", "hit", "miss"]);
  });

  it("not for a caller whose token ends before, or after", () => {
    const jws = jwsOf();
    for (const expiresAt of [NOW + 200, NOW + 3599, NOW + 3601]) {
      const another = jwsOf({ ...alice, expiresAt });
      expect(another).not.toBe(jws);
      expect(claimsOf(another).caller_exp).toBe(expiresAt);
    }
  });

  it("not for anybody else, and not for anything else", () => {
    const jws = jwsOf();
    const others: [Identity, Visible][] = [
      [{ ...alice, subject: "bob" }, shown],
      [{ ...alice, issuer: "https://other" }, shown],
      [alice, { ...shown, tools: { github: ["read"] } }],
      [alice, { ...shown, tools: { gitlab: ["read", "search"] } }],
      [alice, { ...shown, prompts: { github: ["read"] } }],
      [alice, { ...shown, tools: {}, prompts: shown.tools }],
    ];
    const seen = new Set([jws, ...others.map(([identity, visible]) => jwsOf(identity, visible))]);
    expect(seen.size).toBe(others.length + 1);
    expect(results).not.toContain("hit");
  });

  it("for the same names in another order, and for another token of the same end", () => {
    const jws = jwsOf();
    const reordered = { resources: shown.resources, prompts: {}, tools: { github: ["search", "read"] } };
    expect(jwsOf({ ...alice, token: new Secret("another") }, reordered)).toBe(jws);
  });

  it("not for the same names by another policy: both say which gave them, a call too", () => {
    const by = (policy?: string) => {
      const uses = [
        { use: "list", merged: true, policy } as const,
        { use: "call", body: Buffer.from(""), destinations: {}, policy } as const,
      ];
      return uses.map((use) => sign(alice, shown, use)).map((step) => claimsOf(step.ok ? step.value.jws : "").policy);
    };
    expect([by("1"), by("2"), by("1"), by()]).toEqual([
      ["1", "1"],
      ["2", "2"],
      ["1", "1"],
      [undefined, undefined],
    ]);
    expect(results).toEqual(["miss", "miss", "hit", "miss"]);
  });

  it("F18: never for a call: it names the bytes of its body", () => {
    const callOf = (body: string) => {
      const step = sign(alice, shown, { use: "call", body: Buffer.from(body), destinations: {} });
      return step.ok ? step.value.jws : step.reason;
    };
    const digest = createHash("sha256").update('{"a":1}').digest("base64url");
    const made = ['{"a":1}', '{"a":1}', '{"a": 1}', ""].map(callOf);
    expect(new Set(made).size).toBe(4);
    expect(claimsOf(made[0] ?? "")).toMatchObject({ use: "call", body: digest });
    expect(new Set(made.map((jws) => (claimsOf(jws) as { body?: string }).body)).size).toBe(3);
    expect(results).toEqual([]);
  });

  it("F06: not once another key signs", () => {
    const jws = jwsOf();
    keys = signing(second, first);
    const rotated = jwsOf();
    expect(rotated).not.toBe(jws);
    expect(JSON.parse(Buffer.from(rotated.split(".")[0] ?? "", "base64url").toString())).toMatchObject({ kid: "k2" });
    expect([verify(jws).ok, verify(rotated).ok]).toEqual([true, true]);
  });

  it("A27: not when the clock was put back", () => {
    const jws = jwsOf();
    now -= 3_600_000;
    expect(jwsOf()).not.toBe(jws);
  });

  it("P4: keys of the cache are injective: another digest for every other set of claims", () => {
    const text = fc.string({
      minLength: 1,
      maxLength: 6,
      unit: fc.constantFrom("a", "b", ",", '"', "[", "]", "\\", "é"),
    });
    const server = fc.constantFrom("a", "b", "a-b");
    const names = fc.dictionary(server, fc.uniqueArray(text, { minLength: 1, maxLength: 3 }), { maxKeys: 2 });
    const who = fc.record({ subject: text, issuer: text, tools: names, prompts: names, resources: names });
    fc.assert(
      fc.property(who, who, (a, b) => {
        const [one, two] = [a, b].map(({ subject, issuer, ...visible }) =>
          jwsOf({ ...alice, subject, issuer }, visible),
        );
        const same = (claims: WristbandClaims) => ({ ...claims, jti: "" });
        if (one === two) expect(same(claimsOf(one ?? ""))).toEqual(same(claimsOf(two ?? "")));
        expect(claimsOf(one ?? "")).toMatchObject({ sub: a.subject, idp: a.issuer });
        expect(claimsOf(two ?? "")).toMatchObject({ sub: b.subject, idp: b.issuer });
      }),
      { numRuns: 300 },
    );
  });
});

describe("M11, F05: size", () => {
  const tools = (count: number) => ({ github: Array.from({ length: count }, (_, i) => `repository_tool_${i}`) });

  it.each([10, 100, 500, 1000])("%i tools fit", (count) => {
    const jws = jwsOf(alice, { tools: tools(count), prompts: {}, resources: {} });
    expect(jws.length).toBeLessThanOrEqual(32 * 1024);
    expect(claimsOf(jws).tools["github"]).toHaveLength(count);
  });

  it("2,000 tools do not, and nothing is signed", () => {
    expect(
      sign(alice, { tools: tools(2000), prompts: {}, resources: {} }, { use: "list", merged: false }),
    ).toMatchObject({
      ok: false,
      reason: "wristband_too_large",
    });
  });

  it("the limit is the exact size of what would be sent", () => {
    let lower = 1000;
    while (sign(alice, { tools: tools(lower + 1), prompts: {}, resources: {} }, { use: "list", merged: false }).ok)
      lower += 1;
    expect(jwsOf(alice, { tools: tools(lower), prompts: {}, resources: {} }).length).toBeGreaterThan(32 * 1024 - 64);
  });
});

describe("F5: a list of all servers gives each its share before it is refused", () => {
  const many = (count: number, length = 60) =>
    Array.from({ length: count }, (_, i) => `t${i}`.padEnd(length, "x")).sort();
  const merged = (tools: Visible["tools"], more: Partial<Visible> = {}, who = alice) => {
    const step = sign(who, { tools, prompts: {}, resources: {}, ...more }, { use: "list", merged: true });
    if (!step.ok) throw new Error(step.reason);
    const { jws, leftOut } = step.value;
    const claims = claimsOf(jws);
    return { leftOut, tools: claims.tools, resources: claims.resources, jws };
  };

  it("one that is too large alone, whatever its name, shows its first names; the others all of theirs", () => {
    const large = many(1000, 118);
    for (const evil of ["aa", "zz"]) {
      const { leftOut, tools, jws } = merged({ [evil]: large, git: ["read"], mail: many(50) });
      expect([leftOut, tools["git"], tools["mail"]]).toEqual([[evil], ["read"], many(50)]);
      expect(tools[evil]).toEqual(large.slice(0, tools[evil]?.length));
      expect(jws.length).toBeGreaterThan(32 * 1024 - 500);
    }
  });

  it("a hostile server that stays a little smaller takes no more than its share from another", () => {
    const honest = many(300, 40);
    for (const hostile of [1, 2, 3]) {
      const evil = Object.fromEntries(Array.from({ length: hostile }, (_, i) => [`evil${i}`, many(299, 40)]));
      const { leftOut, tools } = merged({ ...evil, honest, small: ["x"] });
      const room = 23_000 / (hostile + 1);
      expect(leftOut).toEqual([...Object.keys(evil), "honest"]);
      expect(JSON.stringify(tools["honest"]).length).toBeGreaterThan(room - 100);
      expect([tools["honest"], tools["small"]]).toEqual([honest.slice(0, tools["honest"]?.length), ["x"]]);
    }
  });

  it("of several that are equally large each shows as much", () => {
    const { leftOut, tools } = merged({ a: many(170), c: many(170), b: many(170), small: ["x"] });
    expect(leftOut).toEqual(["a", "b", "c"]);
    expect([tools["b"], tools["c"], tools["small"]]).toEqual([tools["a"], tools["a"], ["x"]]);
    expect(merged({ a: many(90), b: many(300), c: many(90), d: many(400) }).leftOut).toEqual(["b", "d"]);
  });

  it("names count as they stand in JSON, of every kind, the tools first", () => {
    const odd = Array.from({ length: 900 }, (_, i) => `docs://${i}${'"'.repeat(10)}`);
    const uris = Array.from({ length: 150 }, (_, i) => `docs://${i}/${"中".repeat(60)}`);
    for (const list of [odd, uris]) {
      const { leftOut, tools, resources } = merged(
        { git: ["read"], evil: ["x"] },
        { resources: { evil: list, git: ["docs://a"] } },
      );
      expect([leftOut, tools, resources["git"]]).toEqual([["evil"], { evil: ["x"], git: ["read"] }, ["docs://a"]]);
      expect(resources["evil"]?.length).toBeGreaterThan(50);
    }
  });

  it("nothing while there is room, to the last byte", () => {
    for (let length = 1; length <= 128; length += 1) {
      const tools = { git: many(150, 100), mail: ["x".repeat(length)] };
      const whole = sign(
        alice,
        { tools: { ...tools, far: many(60, length) }, prompts: {}, resources: {} },
        { use: "list", merged: false },
      );
      const { leftOut } = merged({ ...tools, far: many(60, length) });
      expect([length, leftOut.length > 0]).toEqual([length, !whole.ok]);
    }
  });

  it("a list of one server stays too large", () => {
    const step = sign(
      alice,
      { tools: { evil: many(1000, 118) }, prompts: {}, resources: {} },
      { use: "list", merged: false },
    );
    expect(step).toMatchObject({ ok: false, reason: "wristband_too_large" });
    expect(merged({ evil: many(1000, 118) }).tools["evil"]?.length).toBeGreaterThan(150);
  });

  it("whoever the caller is: the other claims are counted", () => {
    const who = { ...alice, subject: '"'.repeat(2000), issuer: `https://${"i".repeat(2000)}` };
    for (let count = 150; count < 260; count += 1)
      expect(merged({ git: many(count, 90), mail: ["x"] }, {}, who).tools["mail"]).toEqual(["x"]);
  });
});

it("without a key nothing is signed", () => {
  keys = [];
  expect(sign(alice, shown, { use: "list", merged: false })).toMatchObject({ ok: false, reason: "internal" });
});

it("F08: no two signatures share their r", () => {
  const rs = new Set<string>();
  for (let i = 0; i < 500; i += 1) {
    const jws = jwsOf({ ...alice, subject: `user-${i}` });
    rs.add(
      Buffer.from(jws.split(".")[2] ?? "", "base64url")
        .subarray(0, 32)
        .toString("hex"),
    );
  }
  expect(rs.size).toBe(500);
});

describe("the short form of many names", () => {
  const servers = Object.fromEntries(
    Array.from({ length: 10 }, (_, i) => [
      `server-${i}`,
      { tools: Array.from({ length: 1000 }, (_, n) => `a_tool_with_a_name_${i}_${n}`), prompts: [], resources: [] },
    ]),
  );
  const all = Object.fromEntries(Object.entries(servers).map(([name, { tools }]) => [name, tools]));
  const listed = listedNames(servers);
  const options = { ...parties, ttlSeconds: 300, keys: () => keys, now: () => now };
  const packed = (tools: Visible["tools"], names: typeof listed = listed) =>
    createSigner({ ...options, listed: names })(alice, { tools, prompts: {}, resources: {} }, LIST);
  const LIST = { use: "list", merged: true } as const;
  const read = (jws: string, findNames: NameHistory["find"]) =>
    createVerifier({ ...parties, findKey: (kid) => publicKeys.get(kid), findNames, now: () => now })(jws);

  it("10,000 visible tools take less than 8 KiB, and each is there", () => {
    const step = packed(all);
    expect(step).toMatchObject({ ok: true, value: { leftOut: [] } });
    const jws = step.ok ? step.value.jws : "";
    expect(jws.length).toBeLessThan(8 * 1024);
    const verified = read(jws, (server) => listed(server));
    const sorted = Object.fromEntries(Object.entries(all).map(([name, tools]) => [name, tools.toSorted()]));
    expect(verified.ok && verified.value.tools).toEqual(sorted);
  });

  it("a list that is not known where it is read is told apart from every other fault", () => {
    const step = packed(all);
    const jws = step.ok ? step.value.jws : "";
    expect(read(jws, () => undefined)).toEqual({ ok: false, fault: "catalog" });
    expect(verify(jws)).toEqual({ ok: false, fault: "catalog" });
  });

  it("a bitset over another list than the one that it names shows nothing", () => {
    const step = packed(all);
    const other = revisedNames({ tools: ["x"], prompts: [], resources: [] });
    expect(read(step.ok ? step.value.jws : "", () => other)).toEqual({ ok: false, fault: "claims" });
  });

  it("few names stay in plain form, and names that no list has, too", () => {
    const few = packed({ "server-1": ["a_tool_with_a_name_1_1"] });
    expect(few.ok && verify(few.value.jws)).toMatchObject({ ok: true });
    const strange = packed({ other: all["server-1"]?.slice(0, 300) ?? [] });
    expect(strange.ok && verify(strange.value.jws)).toMatchObject({ ok: true });
  });
});
