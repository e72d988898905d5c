// Holds docs/threat-model.md to the ids that code, tests and other pages cite: a reader must find each of them there.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const PAGE = "docs/threat-model.md";
/** Folders with text of ours; those that a later layout brings may be missing. */
const FOLDERS = [
  ...["src", "test", "tools", "demo", "bench", "policies", "protos", "deploy", "docs"],
  ...[".github", ".ci"],
];
const TEXT = /(?:\.(?:ts|mjs|rego|ya?ml|md|hcl|proto|sh)|Dockerfile)$/;
/** Not citations: wire types of Protobuf, and the two sets of control characters (ISO/IEC 6429). */
const OTHER_WORDS = new Set(["I32", "I64", "C0", "C1"]);

/**
 * What an id looks like, the longer forms first. Two findings of the attack have numbers that rows of the wristband
 * have, too, so these two are cited with the word before them.
 */
const ID = [
  String.raw`[Aa]ttack F\d{1,2}`,
  String.raw`P\d{1,2}\.\d-\d{1,2}`, // feature rows, by chapter
  String.raw`(?:AP|AZ|CF|CL|LA|MO|MS|N|PO|SP|TB|TR)-\d{2}`, // feature rows, by the system that they were seen in
  String.raw`[A-KNQ]\d{1,2}`, // attacks and faults, by part
  String.raw`[MP]\d{1,2}`, // measured surprises, properties
].join("|");
/** No part of a word, a path, an encoding or a version: `ES256`, `%C3`, `x-A1`, `/B64`, `CVE-…-A12` are none. */
const CITATION = new RegExp(String.raw`(?<![\w%\\/+=.-])(?:${ID})(?:[–-](?:${ID}))?(?![\w-]|\.\d)`, "g");

/** The ids that a text cites; a range stands for all that it spans. */
function citedIn(text: string): string[] {
  return [...text.matchAll(CITATION)].flatMap(([found]) => spanned(found)).filter((id) => !OTHER_WORDS.has(id));
}

function spanned(found: string): string[] {
  const [, prefix = "", from = "", to = ""] = /^([A-Z])(\d+)[–-]\1(\d+)$/.exec(found) ?? [];
  if (to === "") return [plain(found)];
  const count = Math.max(0, Number(to) - Number(from) + 1);
  return Array.from({ length: count }, (_, i) => prefix + String(Number(from) + i).padStart(from.length, "0"));
}

function plain(id: string): string {
  const [, finding] = /^[Aa]ttack (F\d{1,2})$/.exec(id) ?? [];
  if (finding === undefined) return id;
  return finding === "F10" || finding === "F11" ? `attack ${finding}` : finding;
}

interface Row {
  readonly anchor: string;
  readonly id: string;
  readonly isCited: boolean;
  readonly text: string;
}

const ROW = /^\| <a id="([^"]*)"><\/a>(.+?)( \(not cited\))? \| (.*) \|$/gm;

function rowsOf(page: string): Row[] {
  return [...page.matchAll(ROW)].map(([, anchor = "", id = "", mark, text = ""]) => {
    return { anchor, id, isCited: mark === undefined, text };
  });
}

/** Where each id is cited first. */
function citations(): Map<string, string> {
  const found = new Map<string, string>();
  for (const file of textFiles())
    for (const id of citedIn(readFileSync(join(ROOT, file), "utf8"))) if (!found.has(id)) found.set(id, file);
  return found;
}

function textFiles(): string[] {
  const inFolders = FOLDERS.filter((folder) => existsSync(join(ROOT, folder))).flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(ROOT, join(entry.parentPath, entry.name))),
  );
  const atRoot = readdirSync(ROOT, { withFileTypes: true }).flatMap((entry) => (entry.isFile() ? [entry.name] : []));
  const own = relative(ROOT, import.meta.filename);
  return [...inFolders, ...atRoot].filter(
    (file) => TEXT.test(file) && file !== PAGE && file !== own && !file.includes("node_modules"),
  );
}

describe("docs/threat-model.md", () => {
  const rows = rowsOf(readFileSync(join(ROOT, PAGE), "utf8"));
  const cited = citations();

  it("has a row for every id that is cited", () => {
    const known = new Set(rows.map(({ id }) => id));
    expect([...cited].filter(([id]) => !known.has(id)).map(([id, file]) => `${id} (${file})`)).toEqual([]);
  });

  it("says of an id that nothing cites that it is not cited", () => {
    expect(rows.filter(({ id, isCited }) => isCited && !cited.has(id)).map(({ id }) => id)).toEqual([]);
  });

  it("has one row for an id, an anchor that its id gives, and a whole sentence", () => {
    expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length);
    expect(rows.filter(({ anchor, id }) => anchor !== id.toLowerCase().replace(" ", "-"))).toEqual([]);
    expect(rows.filter(({ text }) => !/^\S.{20,}\.$/.test(text))).toEqual([]);
  });
});

describe("what is a citation", () => {
  it.each<[string, string[]]>([
    ["(threat rows B15, B16)", ["B15", "B16"]],
    ['it("P2.5-4, LA-02: all of them', ["P2.5-4", "LA-02"]],
    ["M1–M3, C04-C06, B2-x", ["M1", "M2", "M3", "C04", "C05", "C06"]],
    ["P14: attack F11, attack F18, F1", ["P14", "attack F11", "F18", "F1"]],
    ["ES256, P-256, V8, UTF8, %C3%BC, U+F900, \\u00A0, HTTP2, X509, AES-A12, v1.A2, I32, S3, 0xA1, P2.5", []],
  ])("%s", (text, expected) => expect(citedIn(text)).toEqual(expected));
});
