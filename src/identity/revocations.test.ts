import { BY_TOKEN } from "../../test/fakes/identity.ts";
import { appendFileSync, chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { compact, makeKey, startIssuer, type FakeIssuer } from "../../test/fakes/issuer.ts";
import { Secret } from "../secret/secret.ts";
import type { Identity } from "../authz/types.ts";
import { createIdentity } from "./identity.ts";
import { createRevocations, type CallerMarks, type RevocationOptions, type Revocations } from "./revocations.ts";

const ISS = "https://idp.example.com";
const NOW = 1_790_000_000;
const folder = mkdtempSync(join(tmpdir(), "mcp-authz-revoked-"));
const file = join(folder, "revoked.jsonl");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const lines = (...objects: object[]) => objects.map((object) => `${JSON.stringify(object)}\n`).join("");
const byJti = (jti: string, until = NOW + 600) => ({ iss: ISS, jti, until });

function identityOf(claims: Record<string, string | number>, subject = "alice", issuer = ISS): Identity {
  const plain = {
    username: null,
    groups: [],
    scopes: [],
    ...BY_TOKEN,
    actors: [],
    expiresAt: NOW + 300,
    token: new Secret("t"),
  };
  return { issuer, subject, claims, ...plain };
}

describe("the file", () => {
  let told: string[];
  let memory: SharedArrayBuffer | null;
  let revokes: ((marks: CallerMarks) => boolean) | null;
  let opened: Revocations[] = [];
  beforeEach(() => {
    told = [];
    memory = null;
    revokes = null;
    for (const revocations of opened) revocations.close();
    opened = [];
    writeFileSync(file, "");
  });

  async function open(more: Partial<RevocationOptions> = {}): Promise<Revocations> {
    const revocations = await createRevocations({
      file,
      now: () => NOW * 1000,
      monotonic: () => 0,
      remembered: null,
      onReload: (result, message) => told.push(`${result}: ${message}`),
      onMemory: (buffer) => (memory = buffer),
      onRevoked: (isRevoked) => (revokes = isRevoked),
      ...more,
    });
    opened.push(revocations);
    return revocations;
  }
  const put = (text: string) => {
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  };
  const token = (jti: string) => identityOf({ jti, iat: NOW - 10 });

  it("refuses to start when it is missing, and says what to do", async () => {
    await expect(open({ file: join(folder, "none") })).rejects.toThrow(
      /^identity\.revocationFile: .*none: cannot be read \(ENOENT\): create it, empty where nothing is revoked, or remove the key$/,
    );
    await expect(open({ file: folder })).rejects.toThrow(/is not a file/);
    put("{}\n");
    await expect(open()).rejects.toThrow(/line 1: must be/);
  });

  it("A31: a token, a session, a subject; at the next look", async () => {
    const revocations = await open();
    const marks = identityOf({ jti: "j", sid: "s", iat: NOW - 10 });
    expect(revocations.revoked(marks)).toBeNull();
    for (const [object, by] of [
      [byJti("j"), "jti"],
      [{ iss: ISS, sid: "s", until: NOW + 600 }, "sid"],
      [{ iss: ISS, sub: "alice", before: NOW }, "sub"],
    ] as const) {
      const fresh = await open();
      put(lines(object));
      await fresh.poll();
      expect(fresh.revoked(marks)).toBe(by);
      put("");
    }
  });

  it("a subject's tokens from `before` on live; one that does not say when it was issued does not", async () => {
    put(lines({ iss: ISS, sub: "alice", before: NOW }));
    const { revoked } = await open();
    expect(revoked(identityOf({ iat: NOW - 1 }))).toBe("sub");
    expect(revoked(identityOf({ iat: NOW }))).toBeNull();
    expect(revoked(identityOf({}))).toBe("sub");
    expect(revoked(identityOf({ iat: "1790000001" }))).toBe("sub");
  });

  it("G18: tells who is newly revoked: token, session, or subject whenever his tokens were issued; and nothing twice", async () => {
    const revocations = await open();
    expect(revokes).toBeNull();
    put(lines(byJti("j"), { iss: ISS, sid: "s", until: NOW + 600 }, { iss: ISS, sub: "alice", before: NOW }));
    await revocations.poll();
    const marks = { iss: ISS, sub: "bob", jti: "x", sid: "y" };
    const others = [
      { jti: "j" },
      { sid: "s" },
      { sub: "alice" },
      {},
      { sub: "alice", iss: "https://other.example.com" },
    ];
    expect(others.map((more) => revokes?.({ ...marks, ...more }))).toEqual([true, true, true, false, false]);
    revokes = null;
    put(lines(byJti("j")));
    await revocations.poll();
    expect(revokes).toBeNull();
  });

  it("A09, A43: a line is of one issuer's ids, byte for byte, never of a username", async () => {
    put(lines(byJti("j"), { iss: ISS, sub: "alice", before: NOW }));
    const { revoked } = await open();
    expect(revoked(identityOf({ jti: "j", iat: NOW - 10 }, "alice", "https://other.example.com"))).toBeNull();
    expect(revoked(identityOf({ jti: "J", iat: NOW }, "ALICE"))).toBeNull();
    expect(revoked(identityOf({ preferred_username: "alice", iat: NOW - 10 }, "alice-2"))).toBeNull();
    expect(revoked(identityOf({ jti: 7, iat: NOW }, "x"))).toBeNull();
    for (const name of ["__proto__", "constructor", "toString"])
      expect(revoked(identityOf({ jti: name, iat: NOW }, name, name))).toBeNull();
  });

  it("6.10: what was seen counts on when its line, or the file, is gone; and it says so", async () => {
    put(lines(byJti("a")));
    const revocations = await open();
    put(lines(byJti("b")));
    await revocations.poll();
    rmSync(file);
    await revocations.poll();
    await revocations.poll();
    expect(["a", "b", "c"].map((jti) => revocations.revoked(token(jti)))).toEqual(["jti", "jti", "unavailable"]);
    expect(revocations.status()).toMatchObject({ entries: 2, stale: expect.stringContaining("ENOENT") as string });
    expect(told.filter((line) => line.startsWith("failed"))).toHaveLength(1);
    put(lines(byJti("b"), byJti("c")));
    await revocations.poll();
    expect(revocations.revoked(token("c"))).toBe("jti");
    expect(revocations.status()).toEqual({ entries: 3, stale: null });
  });

  it("a malformed line in the middle may be anybody's: what was read counts, all others are refused, and the file is read again once it is mended", async () => {
    put(lines(byJti("a")));
    const revocations = await open();
    put(`${lines(byJti("b"))}{"iss":\n${lines(byJti("c"))}`);
    await revocations.poll();
    await revocations.poll();
    expect(["a", "b", "c"].map((jti) => revocations.revoked(token(jti)))).toEqual(["jti", "jti", "unavailable"]);
    expect(revocations.status().stale).toMatch(/^line 2: /);
    expect(told).toHaveLength(2);
    put(lines(byJti("b"), byJti("c")));
    await revocations.poll();
    expect(["a", "b", "c"].map((jti) => revocations.revoked(token(jti)))).toEqual(["jti", "jti", "jti"]);
    expect(revocations.status().stale).toBeNull();
  });

  it("a last line that stays torn is told of; its predecessors count at once", async () => {
    const revocations = await open();
    put(`${lines(byJti("a"))}{"iss":"`);
    await revocations.poll();
    expect([revocations.revoked(token("a")), revocations.status().stale]).toEqual(["jti", null]);
    await revocations.poll();
    expect(revocations.status().stale).toMatch(/cut off/);
    put(lines(byJti("a"), byJti("b")));
    await revocations.poll();
    expect([revocations.revoked(token("b")), revocations.status().stale]).toEqual(["jti", null]);
  });

  it("a full file that grows by a line costs the line, and one that was written anew is read anew", async () => {
    const many = Array.from({ length: 50_000 }, (_, i) => byJti(`j${i}`));
    put(lines(...many));
    const revocations = await open();
    const timed = async (text: string) => {
      put(text);
      const from = performance.now();
      await revocations.poll();
      return performance.now() - from;
    };
    const grown = [];
    for (const jti of ["new", "new2", "new3"]) {
      many.push(byJti(jti));
      grown.push(await timed(lines(...many)));
      expect([revocations.revoked(token(jti)), told.at(-1)]).toEqual(["jti", `ok: 1 new, ${many.length} in all`]);
    }
    const anew = await timed(lines(byJti("other"), ...many));
    expect([revocations.revoked(token("other")), told.at(-1)]).toEqual(["jti", `ok: 1 new, ${many.length + 1} in all`]);
    expect(Math.min(...grown)).toBeLessThan(anew / 2);
    put(lines(...many).replace('"j7"', '"swapped"') + lines(byJti("last")));
    await revocations.poll();
    expect(["swapped", "last"].map((jti) => revocations.revoked(token(jti)))).toEqual(["jti", "jti"]);
  });

  it("N03: a new thread knows what the one before it had seen, also when the file is gone", async () => {
    put(lines(byJti("a"), { iss: ISS, sub: "bob", before: NOW }));
    await open();
    rmSync(file);
    const next = await open({ remembered: memory });
    expect([next.revoked(token("a")), next.revoked(identityOf({ iat: 1 }, "bob"))]).toEqual(["jti", "sub"]);
    expect(next.status().stale).toMatch(/ENOENT/);
  });
});

describe("F11: what cannot be told refuses", () => {
  const seconds = { now: NOW };
  const open = async (more: Partial<RevocationOptions> = {}) => {
    const clocks = { now: () => seconds.now * 1000, monotonic: () => (seconds.now - NOW) * 1000 };
    const plain = { file, ...clocks, remembered: null, onReload: () => {}, onRevoked: () => {} };
    return createRevocations({ ...plain, ...more });
  };
  const many = (name: string, count: number) => lines(...Array.from({ length: count }, (_, i) => byJti(`${name}${i}`)));
  const of = (revocations: Revocations, jti: string) => revocations.revoked(identityOf({ jti, iat: NOW - 10 }));
  beforeEach(() => {
    seconds.now = NOW;
    writeFileSync(file, "");
  });

  it("attack: line 100,001 revokes, and so does a short file after 200,000 others", async () => {
    const revocations = await open();
    writeFileSync(file, many("a", 99_999) + lines(byJti("x"), byJti("stolen")));
    await revocations.poll();
    expect([of(revocations, "stolen"), revocations.status()]).toEqual(["jti", { entries: 100_001, stale: null }]);
    writeFileSync(file, many("b", 99_999));
    await revocations.poll();
    writeFileSync(file, lines(byJti("y"), byJti("z"), byJti("late")));
    await revocations.poll();
    expect(["late", "stolen", "a0", "b99998"].map((jti) => of(revocations, jti))).toEqual(["jti", "jti", "jti", "jti"]);
    expect(of(revocations, "other")).toBeNull();
  });

  it("more than may be in force: nobody is let through until there is room again", async () => {
    const revocations = await open({ maxEntries: 1000 });
    writeFileSync(file, many("a", 1000));
    await revocations.poll();
    expect([of(revocations, "a999"), of(revocations, "good")]).toEqual(["jti", null]);
    appendFileSync(file, lines(byJti("stolen", NOW + 5000)));
    await revocations.poll();
    expect(["a0", "stolen", "good"].map((jti) => of(revocations, jti))).toEqual(["jti", "unavailable", "unavailable"]);
    expect(revocations.status().stale).toMatch(/more than 1000 revocations are in force/);
    seconds.now = NOW + 661; // a minute after the `until` of the thousand
    await revocations.poll();
    expect(["a0", "stolen", "good"].map((jti) => of(revocations, jti))).toEqual([null, "jti", null]);
    expect(revocations.status().stale).toBeNull();
  });

  it("a file of the largest number of lines that are over costs no room", async () => {
    writeFileSync(
      file,
      lines(...Array.from({ length: 3000 }, (_, i) => byJti(`old${i}`, NOW - 100))) + many("a", 1000),
    );
    const revocations = await open({ maxEntries: 1000 });
    expect(["a0", "a999", "good"].map((jti) => of(revocations, jti))).toEqual(["jti", "jti", null]);
  });

  it.each<[string, () => void]>([
    ["gone", () => rmSync(file)],
    ["a folder", () => (rmSync(file), mkdirSync(file))],
    ["not readable", () => chmodSync(file, 0)],
    ["full of something else", () => writeFileSync(file, "revoked: alice\n")],
    ["with a line of unknown form", () => appendFileSync(file, lines({ ...byJti("b"), reason: "x" }))],
    ["cut off within a line that was read before", () => writeFileSync(file, lines(byJti("a")).slice(0, 30))],
    ["with a line that goes on and on", () => appendFileSync(file, `{"iss":"${"x".repeat(70_000)}`)],
  ])("%s: revoked tokens stay revoked, all others cannot be told, and it heals", async (what, spoil) => {
    writeFileSync(file, lines(byJti("a")));
    const revocations = await open();
    spoil();
    await revocations.poll();
    await revocations.poll();
    const isRoot = process.getuid?.() === 0 && what === "not readable"; // for whom every file is readable
    expect([of(revocations, "a"), of(revocations, "good")]).toEqual(["jti", isRoot ? null : "unavailable"]);
    rmSync(file, { recursive: true, force: true });
    writeFileSync(file, lines(byJti("b")));
    await revocations.poll();
    expect(["a", "b", "good"].map((jti) => of(revocations, jti))).toEqual(["jti", "jti", null]);
  });
});

describe("A31 with real tokens", () => {
  const key = makeKey("k1");
  let issuer: FakeIssuer;
  beforeAll(async () => {
    issuer = await startIssuer(key);
  });
  afterAll(() => issuer.close());

  it("a cached token is revoked at its next use, and so is its twin (A15)", async () => {
    writeFileSync(file, "");
    const options = { file, now: () => NOW * 1000, monotonic: () => 0, remembered: null };
    const revocations = await createRevocations({
      ...options,
      onReload: () => {},
      onRevoked: () => {},
    });
    const hits: string[] = [];
    const service = createIdentity({
      issuers: [
        {
          issuer: issuer.issuer,
          audiences: ["gateway"],
          algorithms: ["ES256"],
          tokenType: "at+jwt",
          jwksUri: null,
          allowedHosts: [],
          claims: { username: "preferred_username", groups: "groups", scopes: "scope" },
        },
      ],
      now: () => NOW * 1000,
      revoked: revocations.revoked,
      onCache: (result) => hits.push(result),
    });
    await service.start();
    const claims = { iss: issuer.issuer, aud: "gateway", sub: "alice", jti: "j-1", iat: NOW - 5, exp: NOW + 300 };
    const token = compact(key, { alg: "ES256", typ: "at+jwt", kid: "k1" }, claims);
    const use = async (text: string) => {
      const step = await service.identify(text, "resource", AbortSignal.timeout(2000));
      return step.ok ? "ok" : `${step.reason} ${step.detail ?? ""}`;
    };
    expect([await use(token), await use(twinOf(token)), await use(token)]).toEqual(["ok", "ok", "ok"]);
    writeFileSync(file, lines({ iss: issuer.issuer, jti: "j-1", until: NOW + 300 }));
    await revocations.poll();
    hits.length = 0;
    expect([await use(token), await use(twinOf(token))]).toEqual(["token_revoked by jti", "token_revoked by jti"]);
    expect(hits).toEqual(["hit", "hit"]);
    service.close();
    revocations.close();
  });

  /** The other signature of the same token: (r, n − s). */
  function twinOf(token: string): string {
    const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
    const cut = token.lastIndexOf(".");
    const signature = Buffer.from(token.slice(cut + 1), "base64url");
    const s = BigInt(`0x${signature.toString("hex", 32)}`);
    const twin = Buffer.concat([
      signature.subarray(0, 32),
      Buffer.from((order - s).toString(16).padStart(64, "0"), "hex"),
    ]);
    return `${token.slice(0, cut)}.${twin.toString("base64url")}`;
  }
});
