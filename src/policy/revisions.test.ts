import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, expect, it } from "vitest";
import { artifact, withSettings } from "./artifact.ts";
import { packBundle } from "./bundle.ts";
import { keepRevision, MAX_REVISIONS, MAX_REVISIONS_BYTES, readRevision, type KeptPolicy } from "./revisions.ts";
import type { PolicySettings } from "./settings.ts";

const root = mkdtempSync(join(tmpdir(), "mcp-authz-revisions-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let folder: string;
let n = 0;
beforeEach(() => (folder = join(root, `r${(n += 1)}`)));

const rules = { rego: "v1", hash: "h", files: [{ path: "p.rego", text: "package mcp.authz\n" }] } as const;
function policy(data: object, settings: PolicySettings = {}): KeptPolicy {
  const made = artifact({ wasm: new Uint8Array([0, 1, 2]), reads: null }, JSON.stringify(data));
  return { artifact: withSettings(made, settings), rules, settings };
}
const fileOf = ({ artifact: { revision } }: KeptPolicy) => join(folder, `${revision}.tar.gz`);
const refused = (revision: string) =>
  readRevision(folder, revision).then(
    () => "read",
    (error: unknown) => (error instanceof Error ? error.message : "?"),
  );

it("gives back what was live: rules, data and settings; readable for this user alone", async () => {
  const kept = policy({ grants: { a: 1 } }, { compat: "authorino", headers: ["x-tenant"], zones: ["UTC"] });
  await keepRevision(folder, kept);
  await keepRevision(folder, policy({}));
  const { revision } = kept.artifact;
  for (const digits of [8, 12, 64]) {
    const read = await readRevision(folder, revision.slice(0, digits));
    expect([read.artifact.data, read.artifact.revision, read.rules, read.settings]).toEqual([
      kept.artifact.data,
      revision,
      rules,
      { ...kept.settings, mode: "mcp", envoy: null },
    ]);
  }
  expect((statSync(folder).mode & 0o777).toString(8)).toBe("700");
  expect(readdirSync(folder).map((name) => statSync(join(folder, name)).mode & 0o077)).toEqual([0, 0]);
});

it("keeps the last 50, and the one that is live now whatever its age", async () => {
  const first = policy({ n: -1 });
  await keepRevision(folder, first);
  for (let i = 0; i < MAX_REVISIONS; i += 1) {
    const name = join(folder, `${i.toString(16).padStart(64, "0")}.tar.gz`);
    writeFileSync(name, "x");
    utimesSync(name, 1000 + i, 1000 + i);
  }
  writeFileSync(join(folder, "notes.txt"), "not ours");
  const abandoned = `${fileOf(first)}.00000000-0000-0000-0000-000000000000`;
  writeFileSync(abandoned, "half");
  utimesSync(abandoned, 1000, 1000);
  await keepRevision(folder, policy({ n: 1 }));
  const names = readdirSync(folder);
  expect(names.filter((name) => name.endsWith(".gz")).length).toBe(MAX_REVISIONS);
  expect(names).toContain("notes.txt");
  expect(names.some((name) => name.length > 80)).toBe(false);
  expect(names).not.toContain(`${"0".repeat(64)}.tar.gz`);
  // A clock that was set back: what is kept now stays all the same.
  for (const name of names) utimesSync(join(folder, name), 4e9, 4e9);
  const back = policy({ n: 2 });
  await keepRevision(folder, back);
  expect(await refused(back.artifact.revision)).toBe("read");
});

it("is bounded in bytes", async () => {
  const old = policy({ n: 1 });
  await keepRevision(folder, old);
  const { mtimeMs } = statSync(fileOf(old));
  const large = join(folder, `${"0".repeat(64)}.tar.gz`);
  writeFileSync(large, "");
  // Sparse: it takes no room here.
  const { open } = await import("node:fs/promises");
  const handle = await open(large, "r+");
  await handle.truncate(MAX_REVISIONS_BYTES);
  await handle.close();
  utimesSync(large, mtimeMs / 1000 - 9, mtimeMs / 1000 - 9);
  await keepRevision(folder, policy({ n: 2 }));
  expect([readdirSync(folder).includes(`${"0".repeat(64)}.tar.gz`), await refused(old.artifact.revision)]).toEqual([
    false,
    "read",
  ]);
});

it("P15: what was changed on the disk is not taken for the policy of that time", async () => {
  const [mine, other] = [policy({ n: 1 }), policy({ n: 2 })];
  await keepRevision(folder, mine);
  const bytes = readFileSync(fileOf(mine));
  const { revision } = mine.artifact;
  const damaged = async (content: Buffer) => {
    writeFileSync(fileOf(mine), content);
    return refused(revision);
  };
  const pack = (kept: KeptPolicy, settings: string) => packBundle(kept, [["settings.json", settings]]);
  const settings = JSON.stringify({ compat: null, headers: [] });
  expect(await damaged(await pack(mine, settings))).toBe("read");
  expect(await damaged(await pack(other, settings))).toMatch(/is not of the revision that its name says/);
  expect(await damaged(await pack(mine, '{"compat":"authorino","headers":[]}'))).toMatch(/not of the revision/);
  expect(await damaged(await pack(mine, '{"compat":null,"headers":["x"]}'))).toMatch(/not of the revision/);
  for (const text of ["{}", "null", "[", '{"compat":null,"headers":[],"x":1}'])
    expect(await damaged(await pack(mine, text))).toMatch(/cannot be used/);
  expect(await damaged(await pack(mine, '{"compat":null,"headers":[],"zones":["UTC"]}'))).toMatch(
    /not of the revision/,
  );
  for (const cut of [0, 1, 100, bytes.length - 1])
    expect(await damaged(bytes.subarray(0, cut))).toMatch(/cannot be used/);
  rmSync(fileOf(mine));
  await keepRevision(folder, other);
  renameSync(fileOf(other), fileOf(mine));
  expect(await refused(revision)).toMatch(/not of the revision/);
});

it.each([
  ["../../etc/passwd", /^a revision is 8 to 64/],
  ["abc", /^a revision is 8 to 64/],
  ["ABCDEF01", /^a revision is 8 to 64/],
  ["0".repeat(65), /^a revision is 8 to 64/],
  ["ffffffff", /cannot be read \(ENOENT\)/],
])("%s", async (revision, words) => expect(await refused(revision)).toMatch(words));

it("says what there is in place of a revision that is not kept", async () => {
  await keepRevision(folder, policy({}));
  expect(await refused("ffffffff")).toMatch(/does not hold the revision f{8}: the newest of 1 are [0-9a-f]{12}$/);
});

it("a folder that cannot be written is an error with its code, and leaves nothing behind", async () => {
  writeFileSync(folder, "a file in its place");
  await expect(keepRevision(folder, policy({}))).rejects.toMatchObject({
    code: expect.stringMatching(/EEXIST|ENOTDIR/) as string,
  });
  chmodSync(folder, 0o600);
});
