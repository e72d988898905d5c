import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { compact, makeKey, startIssuer, type FakeIssuer } from "../../test/fakes/issuer.ts";
import { Secret } from "../authz/secret.ts";
import type { Identity } from "../authz/ports.ts";
import { createIdentity } from "./identity.ts";
import { MAX_LINES, readRevocation, readRevocations, type Revocation } from "./revocation-lines.ts";
import { createRevocationMemory } from "./revocation-memory.ts";
import { createRevocations, type CallerMarks, type RevocationOptions, type Revocations } from "./revocations.ts";

const ISS = "https://idp.example.com";
const NOW = 1_790_000_000;
const folder = mkdtempSync(join(tmpdir(), "mcp-authz-revoked-"));
const file = join(folder, "revoked.jsonl");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const lines = (...objects: object[]) => objects.map((object) => `${JSON.stringify(object)}\n`).join("");
const byJti = (jti: string, until = NOW + 600) => ({ iss: ISS, jti, until });

function identityOf(claims: Record<string, string | number>, subject = "alice", issuer = ISS): Identity {
  const plain = { username: null, groups: [], scopes: [], expiresAt: NOW + 300, token: new Secret("t") };
  return { issuer, subject, claims, ...plain };
}

describe("one line", () => {
  const read = async (text: string) => {
    const found = await readRevocations(Buffer.from(text));
    return typeof found === "string" ? found : { ...found, count: found.revocations.length };
  };

  it.each<[string, object]>([
    ["a token", { iss: ISS, jti: "j", until: NOW }],
    ["a session", { until: NOW, sid: "s", iss: ISS }],
    ["a subject", { iss: ISS, sub: "alice", before: NOW }],
  ])("%s", async (_, object) => expect(await read(lines(object))).toMatchObject({ count: 1, torn: false }));

  it.each<[string, string, RegExp]>([
    ["no JSON", "revoke alice\n", /^line 1: not JSON/],
    ["an array", "[]\n", /^line 1: not an object/],
    ["an unknown member", lines({ ...byJti("j"), note: "x" }), /must be \{iss, jti, until\}/],
    ["two kinds in one", lines({ ...byJti("j"), sid: "s" }), /must be/],
    ["a subject until", lines({ iss: ISS, sub: "alice", until: NOW }), /must be/],
    ["no issuer", lines({ jti: "j", until: NOW }), /must be/],
    ["an empty id", lines(byJti("")), /jti must be text/],
    ["an id that is a number", lines({ iss: ISS, jti: 7, until: NOW }), /jti must be text/],
    ["a time in milliseconds", lines(byJti("j", NOW * 1000)), /whole seconds/],
    ["a time as text", lines({ iss: ISS, jti: "j", until: "2026-11-25" }), /whole seconds/],
    ["a name that comes twice", `{"iss":"${ISS}","jti":"a","jti":"b","until":${NOW}}\n`, /not JSON/],
    ["a fault between good lines", `${lines(byJti("a"))}{"iss"\n${lines(byJti("b"))}`, /^line 2: not JSON/],
    [
      "bytes that are not UTF-8",
      `{"iss":"${ISS}","jti":"\ud800","until":${NOW}}\n`.replace("\ud800", "\\ud800"),
      /not JSON/,
    ],
  ])("%s spoils the file", async (_, text, says) => expect(await read(text)).toMatch(says));

  it("blank lines and Windows line ends are no fault, and an empty file revokes nobody", async () => {
    expect(await read(`\r\n${lines(byJti("a")).replace("\n", "\r\n")}\n   \n${lines(byJti("b"))}`)).toMatchObject({
      count: 2,
    });
    expect(await read("")).toMatchObject({ count: 0, torn: false });
  });

  it("a torn write: whatever the last line's length, the lines before count and it counts once it is whole", async () => {
    const before = lines(byJti("a"));
    const last = lines(byJti("\u00e9\u20ac"));
    const bytes = Buffer.from(before + last);
    const start = Buffer.byteLength(before);
    for (let length = start + 1; length < bytes.length - 1; length += 1) {
      expect(await readRevocations(bytes.subarray(0, length)), String(length)).toMatchObject({
        revocations: [{ id: "a" }],
        torn: true,
      });
    }
    for (const whole of [bytes.subarray(0, bytes.length - 1), bytes]) {
      expect(await readRevocations(whole)).toMatchObject({ revocations: [{}, {}], torn: false });
    }
  });

  it("property: the quick way reads what the strict one reads", () => {
    const text = fc.oneof(fc.string({ maxLength: 12 }), fc.constantFrom("a", "\\", '"', " ", "é", "\u007f", "[]{}:,"));
    const object = fc.record({
      iss: text,
      jti: text,
      until: fc.oneof(fc.nat(), fc.constantFrom(0, -1, 1.5, 1e10, 1e11, 1e12)),
    });
    fc.assert(
      fc.property(object, (value) => {
        const quick = readRevocation(Buffer.from(JSON.stringify(value)));
        const strict = readRevocation(Buffer.from(` ${JSON.stringify(value)}`)); // a space before: not the quick form
        expect(quick).toEqual(strict);
      }),
      { numRuns: 5000 },
    );
  });

  it("property: what is read on from an earlier end is what is read in one go", async () => {
    const piece = fc.constantFrom(
      lines(byJti("a")),
      lines({ iss: ISS, sub: "s", before: NOW }),
      "\n",
      "\r\n",
      "{",
      '"}',
      " ",
    );
    const text = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(""));
    await fc.assert(
      fc.asyncProperty(text, text, fc.nat({ max: 99 }), async (first, more, cut) => {
        const earlier = await readRevocations(Buffer.from(first.slice(0, first.length - cut)));
        if (typeof earlier === "string") return;
        const whole = Buffer.from(first.slice(0, earlier.read.bytes) + more);
        const [inOneGo, readOn] = [await readRevocations(whole), await readRevocations(whole, earlier.read)];
        if (typeof inOneGo === "string" || typeof readOn === "string") expect(readOn).toBe(inOneGo);
        else {
          expect([readOn.torn, readOn.read]).toEqual([inOneGo.torn, inOneGo.read]);
          expect(inOneGo.revocations.slice(-readOn.revocations.length || Infinity)).toEqual(readOn.revocations);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("too many lines spoil the file, also one after the other", async () => {
    const line = lines(byJti("a"));
    const full = await readRevocations(Buffer.from(line.repeat(MAX_LINES)));
    const more = Buffer.from(line.repeat(MAX_LINES + 1));
    expect(typeof full === "string" ? full : await readRevocations(more, full.read)).toMatch(/more than 100000 lines/);
    expect(await read(line.repeat(MAX_LINES))).toMatchObject({ count: MAX_LINES });
    expect(await read(line.repeat(MAX_LINES + 1))).toMatch(/more than 100000 lines/);
  });
});

describe("the file", () => {
  let told: string[];
  let seen: string[];
  let revokes: ((marks: CallerMarks) => boolean) | null;
  let opened: Revocations[] = [];
  beforeEach(() => {
    told = [];
    seen = [];
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
      onSeen: (news) => seen.push(...news),
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
    expect(["a", "b", "c"].map((jti) => revocations.revoked(token(jti)))).toEqual(["jti", "jti", null]);
    expect(revocations.status()).toMatchObject({ entries: 2, stale: expect.stringContaining("ENOENT") as string });
    expect(told.filter((line) => line.startsWith("failed"))).toHaveLength(1);
    put(lines(byJti("b"), byJti("c")));
    await revocations.poll();
    expect(revocations.revoked(token("c"))).toBe("jti");
    expect(revocations.status()).toEqual({ entries: 3, stale: null });
  });

  it("a malformed line in the middle leaves the last good set, and the file is read again once it is mended", async () => {
    put(lines(byJti("a")));
    const revocations = await open();
    put(`${lines(byJti("b"))}{"iss":\n${lines(byJti("c"))}`);
    await revocations.poll();
    await revocations.poll();
    expect(["a", "b", "c"].map((jti) => revocations.revoked(token(jti)))).toEqual(["jti", null, null]);
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
    expect(seen).toHaveLength(2);
    rmSync(file);
    const next = await open({ remembered: seen });
    expect([next.revoked(token("a")), next.revoked(identityOf({ iat: 1 }, "bob"))]).toEqual(["jti", "sub"]);
    expect(next.status().stale).toMatch(/ENOENT/);
  });
});

describe("P12: time", () => {
  it("property: no jump of the clock and no edit lets a revoked token live before its `until`", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("jump" as const), seconds: fc.integer({ min: -100_000, max: 100_000 }) }),
      fc.record({ kind: fc.constant("pass" as const), seconds: fc.integer({ min: 0, max: 5000 }) }),
      fc.record({ kind: fc.constant("revoke" as const), seconds: fc.integer({ min: -5000, max: 20_000 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        let wall = NOW;
        let passed = 0;
        const clocks = { now: () => wall * 1000, monotonic: () => passed * 1000 };
        const memory = createRevocationMemory({ ...clocks, maxEntries: 8 });
        const known = new Map<string, number>();
        for (const [i, { kind, seconds }] of steps.entries()) {
          if (kind === "jump") wall += seconds;
          else if (kind === "pass") [wall, passed] = [wall + seconds, passed + seconds];
          else {
            const revocation: Revocation = { by: "jti", iss: ISS, id: `j${i % 5}`, until: NOW + seconds };
            const added = memory.add([revocation]);
            if (typeof added !== "string")
              known.set(revocation.id, Math.max(known.get(revocation.id) ?? 0, revocation.until));
          }
          for (const [jti, until] of known) {
            const over = wall > until && NOW + passed > until;
            const found = memory.find({ iss: ISS, sub: "s", jti, sid: undefined, iat: NOW });
            if (!over) expect(found).toBe("jti");
          }
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("`until` is over a minute after it, as a token's `exp` is", () => {
    let seconds = NOW;
    const memory = createRevocationMemory({
      now: () => seconds * 1000,
      monotonic: () => seconds * 1000,
      maxEntries: 8,
    });
    memory.add([{ by: "sid", iss: ISS, id: "s", until: NOW + 100 }]);
    const find = () => memory.find({ iss: ISS, sub: "x", jti: undefined, sid: "s", iat: NOW });
    seconds = NOW + 160;
    expect(find()).toBe("sid");
    seconds = NOW + 161;
    expect(find()).toBeNull();
    seconds = NOW + 50; // set back: the time that has passed does not count against it
    expect(find()).toBe("sid");
  });

  it("makes room only at the cost of those that are over, else takes nothing and says so", () => {
    let seconds = NOW;
    const memory = createRevocationMemory({
      now: () => seconds * 1000,
      monotonic: () => seconds * 1000,
      maxEntries: 2,
    });
    const jti = (id: string, until: number): Revocation => ({ by: "jti", iss: ISS, id, until });
    expect(memory.add([jti("a", NOW + 100), jti("b", NOW + 9000)])).toMatchObject({ pruned: false });
    expect(memory.add([jti("c", NOW + 9000)])).toMatch(/more than 2/);
    seconds = NOW + 1000;
    expect(memory.add([jti("c", NOW + 9000)])).toMatchObject({ pruned: true });
    expect(memory.all().map(({ id }) => id)).toEqual(["b", "c"]);
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
      onSeen: () => {},
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
