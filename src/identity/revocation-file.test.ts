import { appendFileSync, mkdirSync, mkdtempSync, renameSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { RevocationFile } from "./revocation-file.ts";
import { readRevocation, type Revocation } from "./revocation-lines.ts";

const ISS = "https://idp.example.com";
const NOW = 1_790_000_000;
const folder = mkdtempSync(join(tmpdir(), "mcp-authz-revocation-file-"));
const path = join(folder, "revoked.jsonl");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const lines = (...objects: object[]) => objects.map((object) => `${JSON.stringify(object)}\n`).join("");
const byJti = (jti: string, until = NOW + 600) => ({ iss: ISS, jti, until });

/** A file that is looked at, and what was taken of it. */
function watched(room = Infinity) {
  const taken: Revocation[] = [];
  const file = new RevocationFile({
    path,
    maxBytes: 1024 * 1024,
    full: "full",
    monotonic: () => performance.now(),
    add: (revocation) => taken.length < room && taken.push(revocation) > 0,
  });
  return { file, taken };
}

/** What one look at such a file finds. */
async function readAll(text: string | Uint8Array): Promise<{ ids: string[]; fault: string | null }> {
  writeFileSync(path, text);
  const { file, taken } = watched();
  const { fault } = await file.read();
  return { ids: taken.map(({ id }) => id), fault };
}

describe("one line", () => {
  it.each<[string, object]>([
    ["a token", { iss: ISS, jti: "j", until: NOW }],
    ["a session", { until: NOW, sid: "s", iss: ISS }],
    ["a subject", { iss: ISS, sub: "alice", before: NOW }],
  ])("%s", async (_, object) =>
    expect(await readAll(lines(object))).toMatchObject({ ids: [expect.any(String)], fault: null }),
  );

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
  ])("%s spoils the file", async (_, text, says) => expect((await readAll(text)).fault).toMatch(says));

  it("blank lines and Windows line ends are no fault, and an empty file revokes nobody", async () => {
    const text = `\r\n${lines(byJti("a")).replace("\n", "\r\n")}\n   \n${lines(byJti("b"))}`;
    expect(await readAll(text)).toEqual({ ids: ["a", "b"], fault: null });
    expect(await readAll("")).toEqual({ ids: [], fault: null });
  });

  it("a torn write: whatever the last line's length, the lines before count and it counts once it is whole", async () => {
    const before = lines(byJti("a"));
    const bytes = Buffer.from(before + lines(byJti("\u00e9\u20ac")));
    for (let length = Buffer.byteLength(before) + 1; length < bytes.length - 1; length += 1) {
      writeFileSync(path, bytes.subarray(0, length));
      const { file, taken } = watched();
      expect(await file.read(), String(length)).toEqual({ changed: true, fault: null });
      expect(taken.map(({ id }) => id)).toEqual(["a"]);
      expect((await file.read()).fault, "the same at the next look").toMatch(/cut off/);
    }
    for (const whole of [bytes.subarray(0, bytes.length - 1), bytes])
      expect(await readAll(whole)).toEqual({ ids: ["a", "\u00e9\u20ac"], fault: null });
  });

  it("a line without end is no line, also when it is spread over chunks", async () => {
    for (const end of ["", "\n"])
      expect((await readAll(`${lines(byJti("a"))}{"iss":"${"x".repeat(200_000)}${end}`)).fault).toMatch(
        /^line 2: longer than/,
      );
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
      fc.asyncProperty(text, text, fc.nat({ max: 99 }), fc.boolean(), async (first, more, cut, keeps) => {
        writeFileSync(path, first.slice(0, first.length - cut));
        const { file, taken } = watched();
        await file.read();
        const whole = (keeps ? first : first.slice(7)) + more;
        writeFileSync(path, whole);
        const { fault } = await file.read();
        const seen = new Set(taken.map(({ id }) => id));
        const inOneGo = await readAll(whole);
        if (fault === null || !fault.includes("cut off")) expect(fault).toBe(inOneGo.fault);
        for (const id of inOneGo.ids) expect(seen).toContain(id);
      }),
      { numRuns: 300 },
    );
  });
});

describe("how a file changes", () => {
  const ids = (taken: readonly Revocation[]) => taken.map(({ id }) => id).join(" ");

  it("grown: what is new is read; truncated, replaced, edited in place or shorter: all is read anew", async () => {
    const { file, taken } = watched();
    const look = async (text: string) => {
      writeFileSync(path, text);
      taken.length = 0;
      const { fault } = await file.read();
      return `${ids(taken)}${fault === null ? "" : `; ${fault}`}`;
    };
    const [a, b, c] = ["a", "b", "c"].map((jti) => lines(byJti(jti)));
    expect(await look(`${a}${b}`)).toBe("a b");
    expect(await look(`${a}${b}`)).toBe("");
    expect(await look(`${a}${b}${c}`)).toBe("c");
    expect(await look(`${a}${c}${b}`)).toBe("a c b");
    expect(await look(`${c}${c}${b}${a}`)).toBe("c c b a");
    expect(await look(`${c}`)).toBe("c");
    expect(await look("")).toBe("");
    expect(await look(`${a}{"iss"\n${b}`)).toMatch(/^a; line 2: not JSON/);
    expect(await look(`${a}${b}${c}`)).toBe("b c");
  });

  it("what cannot be read is a fault, and is read anew once it can be", async () => {
    const { file, taken } = watched();
    writeFileSync(path, lines(byJti("a")));
    expect((await file.read()).fault).toBeNull();
    rmSync(path);
    expect((await file.read()).fault).toMatch(/ENOENT/);
    mkdirSync(path);
    expect((await file.read()).fault).toBe("is not a file");
    rmdirSync(path);
    writeFileSync(path, lines(byJti("b")).repeat(20_000));
    expect((await file.read()).fault).toMatch(/larger than 1048576 bytes/);
    writeFileSync(path, lines(byJti("c")));
    expect(await file.read()).toEqual({ changed: true, fault: null });
    expect(ids(taken)).toBe("a c");
  });

  it("without room the file is not whole, until there is some", async () => {
    writeFileSync(path, lines(byJti("a"), byJti("b"), byJti("c")));
    const { file, taken } = watched(2);
    expect((await file.read()).fault).toBe("full");
    expect((await file.read()).fault).toBe("full");
    taken.length = 0;
    expect(await file.read()).toMatchObject({ fault: null });
    expect(ids(taken)).toBe("c");
  });

  it("without room for a last line that has no newline the file is not whole either", async () => {
    writeFileSync(path, lines(byJti("a"), byJti("b")).trimEnd());
    const { file, taken } = watched(1);
    expect((await file.read()).fault).toBe("full");
    taken.length = 0;
    expect(await file.read()).toMatchObject({ fault: null });
    expect(ids(taken)).toBe("b");
  });

  it("a large file that only seems to have grown: renamed or cut it is read anew at once, edited in place before long", async () => {
    const clock = { ms: 0 };
    const taken: Revocation[] = [];
    const take = (revocation: Revocation) => taken.push(revocation) > 0;
    const monotonic = () => (clock.ms += 1);
    const file = new RevocationFile({ path, maxBytes: 64 * 1024 * 1024, full: "full", monotonic, add: take });
    const many = Array.from({ length: 130_000 }, (_, i) => lines(byJti(`j${100_000 + i}`))).join("");
    expect(many.length).toBeGreaterThan(8 * 1024 * 1024);
    const look = async () => {
      taken.length = 0;
      expect((await file.read()).fault).toBeNull();
      return ids(taken);
    };
    writeFileSync(path, many);
    expect((await look()).length).toBeGreaterThan(130_000);
    appendFileSync(path, lines(byJti("a")));
    expect(await look(), "compared with what was read").toBe("a");
    appendFileSync(path, lines(byJti("b")));
    expect(await look(), "not compared").toBe("b");
    writeFileSync(`${path}.new`, many.replace("j100007", "swapped") + lines(byJti("a"), byJti("b"), byJti("c")));
    renameSync(`${path}.new`, path);
    expect(await look()).toContain("swapped");
    appendFileSync(path, lines(byJti("d")));
    expect(await look()).toBe("d");
    const edited = many.replace("j100007", "inplace") + lines(...[..."abcdef"].map((jti) => byJti(jti)));
    writeFileSync(path, edited);
    clock.ms += 1000;
    expect(await look()).toContain("inplace");
    writeFileSync(path, many);
    expect(await look(), "shorter").toContain("j100007");
  });

  it("a million empty lines leave the loop free", async () => {
    writeFileSync(path, "\n".repeat(1024 * 1024));
    const turns = countTurns();
    expect((await watched().file.read()).fault).toBeNull();
    expect(turns()).toBeGreaterThan(10);
  });
});

/** How often the event loop got round to other work. */
function countTurns(): () => number {
  let turns = 0;
  const timer = setInterval(() => (turns += 1), 0);
  return () => {
    clearInterval(timer);
    return turns;
  };
}
