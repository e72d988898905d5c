import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createFileWatch, stateOfFiles } from "./file-watch.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mcp-authz-watch-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Mounts a volume as kubelet does: names lead through `..data` to a folder of this version, and `..data` is renamed into place. */
function mount(version: string, files: Record<string, string>): void {
  mkdirSync(join(folder, `..${version}`));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, `..${version}`, name), text);
  symlinkSync(`..${version}`, join(folder, "..data_tmp"));
  renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
}

async function watched(...names: string[]) {
  let changes = 0;
  const files = names.map((name) => join(folder, name));
  const watch = createFileWatch({ files: () => files, onChange: async () => void (changes += 1) });
  await watch.settle();
  /** Looks so often. @returns the changes that were reported since the last time */
  const after = async (looks: number) => {
    const before = changes;
    for (let i = 0; i < looks; i += 1) await watch.poll();
    return changes - before;
  };
  return { watch, after, files };
}
const write = (name: string, text: string) => writeFileSync(join(folder, name), text);

describe("a change is reported once, when it has stayed for a whole interval", () => {
  it.each<[string, () => void, () => void]>([
    ["of the same length, in place", () => write("a", "one"), () => write("a", "two")],
    [
      "renamed into place, with the old time",
      () => write("a", "one"),
      () => {
        write("b", "two");
        utimesSync(join(folder, "b"), 1, 1);
        renameSync(join(folder, "b"), join(folder, "a"));
      },
    ],
    ["that is gone", () => write("a", "one"), () => rmSync(join(folder, "a"))],
    ["that is there now", () => {}, () => write("a", "one")],
    [
      "of the folder that a link leads to",
      () => {
        mount("1", { a: "one" });
        symlinkSync("..data/a", join(folder, "a"));
      },
      () => mount("2", { a: "one" }),
    ],
    [
      "of the link itself",
      () => {
        write("x", "one");
        write("y", "one");
        symlinkSync("x", join(folder, "a"));
      },
      () => {
        symlinkSync("y", join(folder, "link"));
        renameSync(join(folder, "link"), join(folder, "a"));
      },
    ],
  ])("%s", async (_, before, change) => {
    before();
    const { after } = await watched("a");
    expect(await after(3)).toBe(0);
    change();
    expect([await after(1), await after(1), await after(3)]).toEqual([0, 1, 0]);
  });
  it("not while somebody is writing, however long that takes", async () => {
    write("a", "");
    const { after } = await watched("a");
    for (let i = 0; i < 5; i += 1) {
      appendFileSync(join(folder, "a"), "part of a line");
      expect(await after(1)).toBe(0);
    }
    expect(await after(2)).toBe(1);
  });
  it("nor for what goes and comes back within an interval, but for the new one", async () => {
    write("a", "one");
    const { after } = await watched("a");
    rmSync(join(folder, "a"));
    await after(1);
    write("a", "two");
    expect([await after(1), await after(1), await after(2)]).toEqual([0, 1, 0]);
  });
  it("of several files at once: once", async () => {
    for (const name of ["a", "b", "c"]) write(name, "one");
    const { after } = await watched("a", "b", "c");
    for (const name of ["a", "b", "c"]) write(name, "two and more");
    expect(await after(4)).toBe(1);
  });
});

it("what the owner has read by himself is known", async () => {
  write("a", "one");
  const { watch, after } = await watched("a");
  write("a", "other");
  await watch.settle();
  expect(await after(3)).toBe(0);
});

it("other files are watched as soon as the owner names them", async () => {
  write("b", "one");
  const { after, files } = await watched("a");
  files.push(join(folder, "b"));
  expect(await after(2)).toBe(1);
  write("b", "another");
  expect(await after(2)).toBe(1);
});

it("what has changed since its owner read it is a change", async () => {
  write("a", "one");
  const files = () => [join(folder, "a")];
  let changes = 0;
  const known = stateOfFiles(files());
  await known;
  const watch = createFileWatch({ files, known, onChange: async () => void (changes += 1) });
  for (let i = 0; i < 3; i += 1) await watch.poll();
  expect(changes).toBe(0);
  write("a", "another");
  for (let i = 0; i < 3; i += 1) await watch.poll();
  expect(changes).toBe(1);
});

it("without a first look of the owner, what is there counts as a change", async () => {
  write("a", "one");
  let changes = 0;
  const watch = createFileWatch({ files: () => [join(folder, "a")], onChange: async () => void (changes += 1) });
  for (let i = 0; i < 4; i += 1) await watch.poll();
  expect(changes).toBe(1);
});
