// The short form of `npm run fuzz` (docs/fuzzing.md): whoever runs the tests has this Node, mostly Python, and maybe Go.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { bodyCase, createCases, KINDS, uriCase } from "./cases.ts";
import { differenceOf, viewsFor } from "./compare.ts";
import { casesOf, readCorpus } from "./corpus.ts";
import { runDifferential, type Outcome } from "./differential.ts";
import { ReaderChild, type ReaderSpec } from "./reader-child.ts";
import { findReaders, goReader, runs } from "./readers.ts";

const SEEDS = [1, 2026, Math.floor(Math.random() * 2 ** 31)];
const CASES_PER_SEED = 6000;

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-fuzz-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Built here, not in .tools: the tests of two clones must not wait for each other. */
function builtGo(): ReaderSpec[] {
  if (!runs("go", ["version"])) return [];
  const command = join(folder, "go-reader");
  const cwd = resolve(import.meta.dirname, "readers/go");
  return spawnSync("go", ["build", "-o", command, "."], { cwd }).status === 0 ? [goReader(command)] : [];
}

const readers = [...findReaders(["node24", "python"]).found, ...builtGo()];
console.log(`differential test: seeds ${SEEDS.join(", ")}; readers ${readers.map(({ name }) => name).join(", ")}`);

/** Each kind of difference with a text that shows it; `npm run fuzz -- --seed N` makes them as short as can be. */
function said({ found }: Outcome): string[] {
  return [...found].map(([key, { history }]) => `${key}: ${history.at(-1)?.bytes.toString("utf8")}`);
}

describe("P7: what policy saw is what each reader sees", () => {
  it.each(SEEDS)(
    "seed %i",
    async (seed) => {
      const outcome = await runDifferential({ readers, seed, cases: CASES_PER_SEED });
      expect(said(outcome)).toEqual([]);
      for (const { name } of readers)
        for (const kind of KINDS) {
          const counts = [...outcome.table].filter(([key]) => key.startsWith(`${name} `) && key.endsWith(`\t${kind}`));
          expect(
            counts.some(([, { accepted }]) => accepted > 0),
            `${name} took part in ${kind}`,
          ).toBe(true);
        }
    },
    300_000,
  );

  it.each([...readCorpus()])("%s is refused, or the same for all", async (_, entry) => {
    const cases = casesOf(entry);
    if (cases.length === 0) return;
    for (const spec of readers) {
      const child = new ReaderChild(spec);
      const answers = await child.read(cases);
      await child.stop();
      for (const [i, found] of cases.entries())
        for (const [j, view] of viewsFor(spec, found).entries()) {
          const form = answers[i]?.[j] ?? null;
          expect(form === null ? null : differenceOf(spec, found, { view, form })).toBe(null);
        }
    }
  });
});

describe("the run itself", () => {
  it("makes the same cases of one seed, and others of another", () => {
    const texts = (seed: number) => {
      const source = createCases(seed);
      return Array.from({ length: 50 }, () => source.next().map(({ bytes }) => bytes.toString("base64"))).flat();
    };
    expect(texts(5)).toEqual(texts(5));
    expect(texts(5)).not.toEqual(texts(6));
  });

  it("tells a reader that sees something else", async () => {
    const body = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"a":1}}}';
    const seen = bodyCase("json", Buffer.from(body));
    const other = bodyCase("json", Buffer.from(body.replace('"a":1', '"a":2')));
    if (seen === null || other === null) throw new Error("a plain call is refused");
    for (const spec of readers) {
      const child = new ReaderChild(spec);
      const [forms = []] = await child.read([other]);
      await child.stop();
      for (const [i, view] of spec.views.json.entries())
        expect(differenceOf(spec, seen, { view, form: forms[i] ?? "" })).toMatchObject({ reader: spec.name });
    }
  });

  it("tells a URI whose segment, host, scheme or end is gone", () => {
    const seen = uriCase("file:///srv/public/a");
    if (seen === null) throw new Error("a plain URI is refused");
    const spec = readers[0];
    const view = spec?.views.uri[0];
    if (spec === undefined || view === undefined) throw new Error("no reader");
    const difference = (...parts: string[]) => differenceOf(spec, seen, { view, form: parts.join("\n") })?.what ?? null;
    expect(difference("file", "", "/srv/public/a", "", "")).toBe(null);
    expect(difference("file", "", "/srv/public/%61", "", "")).toBe(null);
    expect(difference("file", "", "/srv/public", "", "")).toBe("path");
    expect(difference("file", "srv", "/public/a", "", "")).toBe("authority and path");
    expect(difference("File", "", "/srv/public/a", "", "")).toBe("scheme");
    expect(difference("file", "", "/srv/public%2fa", "", "")).toBe("path");
  });
});
