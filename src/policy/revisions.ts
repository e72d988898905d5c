// The policies that were live, each as a bundle named by its revision: `why` judges a past decision by its own policy
// (docs/policy.md#revisions). I/O: a folder of the configuration.
import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { errorCode } from "../files/read-error.ts";
import { parseJson } from "../json/parse.ts";
import { unpack, withSettings } from "./artifact.ts";
import { packBundle, readPolicyBundle, type Bundle } from "./bundle.ts";
import type { PolicySettings } from "./settings.ts";

export const MAX_REVISIONS = 50;
/** Of all files together; the newest stays whatever its size. */
export const MAX_REVISIONS_BYTES = 256 * 1024 * 1024;
const MAX_FILE_BYTES = 64 * 1024 * 1024;
/** A file that a process left half written; a write takes less. */
const ABANDONED_MS = 60_000;

const SETTINGS = "settings.json";
const NAME = /^([0-9a-f]{64})\.tar\.gz$/;
const PART = /^[0-9a-f]{64}\.tar\.gz\.[0-9a-f-]{36}$/;

/** A policy that was live, under the settings of that time. */
export interface KeptPolicy extends Bundle {
  readonly settings: PolicySettings;
}

/**
 * Keeps a policy that went live; those beyond the bounds go, the oldest first. Only this user can read the file.
 * @throws {NodeJS.ErrnoException} where the folder cannot be written: nothing that decides depends on it
 */
export async function keepRevision(folder: string, { artifact, rules, settings }: KeptPolicy): Promise<void> {
  const file = join(folder, `${artifact.revision}.tar.gz`);
  const part = `${file}.${randomUUID()}`;
  const { compat = null, headers = [], zones = [], mode = "mcp", envoy = null } = settings;
  const bytes = await packBundle({ artifact, rules }, [
    [
      SETTINGS,
      JSON.stringify({
        compat,
        headers,
        zones,
        ...(mode !== "mcp" && { mode }),
        ...(envoy !== null && { envoy: ruleOf(envoy) }),
      }),
    ],
  ]);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  try {
    await writeFile(part, bytes, { mode: 0o600, flag: "wx" });
    await rename(part, file);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
  await prune(folder, artifact.revision);
}

/** Without what changes no answer. */
function ruleOf({ package: name, rule, truncatedBody }: NonNullable<PolicySettings["envoy"]>) {
  return { package: name, rule, truncatedBody };
}

interface KeptFile {
  readonly name: string;
  readonly bytes: number;
  /** Milliseconds since the epoch. */
  readonly changed: number;
}

/** Another replica may prune the same folder: what is gone is gone. */
async function prune(folder: string, newest: string): Promise<void> {
  const files = await filesIn(folder);
  const parts = files.filter(({ name, changed }) => PART.test(name) && changed < Date.now() - ABANDONED_MS);
  let bytes = 0;
  const beyond = newestFirst(files, newest).filter((file, i) => {
    bytes += file.bytes;
    return i > 0 && (i >= MAX_REVISIONS || bytes > MAX_REVISIONS_BYTES);
  });
  for (const { name } of [...parts, ...beyond]) await rm(join(folder, name), { force: true });
}

function newestFirst(files: readonly KeptFile[], newest = ""): KeptFile[] {
  const age = ({ name, changed }: KeptFile) => (name.startsWith(newest) && newest !== "" ? -Infinity : -changed);
  return files.filter(({ name }) => NAME.test(name)).toSorted((a, b) => age(a) - age(b));
}

async function filesIn(folder: string): Promise<KeptFile[]> {
  const names = (await readdir(folder)).filter((name) => NAME.test(name) || PART.test(name));
  const files = await Promise.all(
    names.map(async (name) => {
      const found = await stat(join(folder, name)).catch(() => null);
      return found === null ? [] : [{ name, bytes: found.size, changed: found.mtimeMs }];
    }),
  );
  return files.flat();
}

const settingsSchema = z.strictObject({
  compat: z.enum(["authorino"]).nullable(),
  headers: z.array(z.string()),
  zones: z.array(z.string()).default([]),
  mode: z.enum(["mcp", "envoy"]).default("mcp"),
  envoy: z
    .strictObject({ package: z.string(), rule: z.string().nullable(), truncatedBody: z.enum(["refuse", "ask"]) })
    .nullable()
    .default(null),
});

/**
 * @param revision in hex, or its first 8 digits or more
 * @returns the policy: what was read is what has this revision
 * @throws {Error} that says why there is none, for people
 */
export async function readRevision(folder: string, revision: string): Promise<KeptPolicy> {
  if (!/^[0-9a-f]{8,64}$/.test(revision)) throw new Error("a revision is 8 to 64 hexadecimal digits, in lower case");
  const name = await nameOf(folder, revision);
  const file = join(folder, name);
  const kept = await readKept(file);
  if (kept.artifact.revision !== NAME.exec(name)?.[1])
    throw new Error(`${file} is not of the revision that its name says: remove it`);
  return kept;
}

async function readKept(file: string): Promise<KeptPolicy> {
  try {
    if ((await stat(file)).size > MAX_FILE_BYTES) throw new Error("it is larger than 64 MiB");
    const bytes = await readFile(file);
    const { artifact, rules } = readPolicyBundle(bytes);
    const settings = settingsSchema.parse(parseJson(unpack(bytes).get(SETTINGS)?.toString("utf8") ?? ""));
    return { artifact: withSettings(artifact, settings), rules, settings };
  } catch (error) {
    const why = error instanceof z.ZodError ? "its settings are of another form" : (error as Error).message;
    throw new Error(`${file} cannot be used: ${why}`, { cause: error });
  }
}

/** The one file of a revision. */
async function nameOf(folder: string, revision: string): Promise<string> {
  let files: KeptFile[];
  try {
    files = newestFirst(await filesIn(folder));
  } catch (error) {
    throw new Error(`${folder} cannot be read (${errorCode(error)})`, { cause: error });
  }
  const found = files.filter(({ name }) => name.startsWith(revision));
  const [only] = found;
  if (only !== undefined && found.length === 1) return only.name;
  if (found.length > 1) throw new Error(`several revisions in ${folder} begin with ${revision}: give more digits`);
  const newest = files.slice(0, 5).map(({ name }) => name.slice(0, 12));
  const there = newest.length === 0 ? "it holds none" : `the newest of ${files.length} are ${newest.join(", ")}`;
  throw new Error(`${folder} does not hold the revision ${revision.slice(0, 12)}: ${there}`);
}
