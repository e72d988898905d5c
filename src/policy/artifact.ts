// A compiled policy with its data, and the OPA bundle that holds both (openpolicyagent.org/docs/management-bundles). Pure.
import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";
import { z } from "zod";
import { parseJson } from "../json/parse.ts";
import { entrypointOf } from "./envoy/entrypoint.ts";
import { readStored, storedReads, type PolicyReads } from "./reads.ts";
import { settingsText, type PolicySettings } from "./settings.ts";
import { untar } from "./tar.ts";

/** Compiled rules: what `opa build -t wasm` makes, and what they read. */
export interface Rules {
  readonly wasm: Uint8Array;
  /** What the rules can read of the input; null where that is not known, and they may read all of it. */
  readonly reads: PolicyReads | null;
}

/** A compiled policy. */
export interface Artifact extends Rules {
  /** The author's data, as JSON text: an object without our own keys. */
  readonly data: string;
  /** SHA-256 of both and of the settings that change answers, in hex: what audit and metrics call the policy's revision. */
  readonly revision: string;
  /** Hash of the rules that `wasm` was compiled from; null where it came without them. */
  readonly rules: string | null;
  /** The rule of `policy.envoy`, as `envoy/authz/allow`; absent or null without one. */
  readonly entrypoint?: string | null;
}

/** Roots of `data` that only the product fills: its library, and the catalogue. */
export const RESERVED: readonly string[] = ["mcp_authz", "catalog"];

/** @throws {Error} when the data would stand where rules or the catalogue are */
export function artifact({ wasm, reads }: Rules, data: string, rules: string | null = null): Artifact {
  checkData(data);
  return { wasm, reads, data, revision: revisionOf({ wasm, data }, {}), rules };
}

/** The same rules and data under these settings: another revision where a setting is not the default. */
export function withSettings(of: Artifact, settings: PolicySettings): Artifact {
  const entrypoint = settings.envoy ? entrypointOf(settings.envoy) : null;
  return { ...of, revision: revisionOf(of, settings), ...(entrypoint !== null && { entrypoint }) };
}

/** The data is one JSON text, so what follows it cannot pass for a part of it. */
function revisionOf({ wasm, data }: Pick<Artifact, "wasm" | "data">, settings: PolicySettings): string {
  const hash = createHash("sha256").update(`${wasm.length}:`).update(wasm).update(data);
  return hash.update(settingsText(settings)).digest("hex");
}

/**
 * Looks at the data as the policy will see it, so that no way of writing it (YAML's merge key, a folder's name) gets
 * past. `mcp` is refused too: data in the place of the package `mcp.authz` would answer for a rule that is not there.
 */
function checkData(text: string): void {
  const data = parseJson(text);
  if (typeof data !== "object" || data === null || Array.isArray(data))
    throw new Error("the policy's data is not an object");
  const taken = [...RESERVED, "mcp"].find((key) => Object.hasOwn(data, key));
  if (taken !== undefined) throw new Error(`the policy's data: the key ${taken} is reserved; choose another`);
}

const MAX_BUNDLE_BYTES = 64 * 1024 * 1024;

/**
 * Reads an OPA bundle (.tar.gz) into an artifact.
 * @throws {Error} that says what is wrong with the file
 */
export function readBundle(bytes: Uint8Array): Artifact {
  return artifactOf(unpack(bytes));
}

/** The files of a bundle, by name. @throws {Error} */
export function unpack(bytes: Uint8Array): ReadonlyMap<string, Buffer> {
  return untar(unzip(bytes));
}

/** @throws {Error} where there is none */
export function artifactOf(members: ReadonlyMap<string, Buffer>): Artifact {
  const wasm = members.get("policy.wasm");
  if (wasm === undefined) throw new Error("the bundle holds no policy.wasm: build it with mcp-authz build-policy");
  return artifact({ wasm, reads: readsIn(members, wasm) }, members.get("data.json")?.toString("utf8") ?? "{}");
}

const READS = "reads.json";
const readsSchema = z.strictObject({ wasm: z.string(), reads: z.unknown() });

/** What rules read, as a member of their bundle: it names the rules that it is true of. */
export function readsMember({ wasm, reads }: Artifact): readonly (readonly [string, string])[] {
  return reads === null ? [] : [[READS, JSON.stringify({ wasm: sha256(wasm), reads: storedReads(reads) })]];
}

/** Null where the bundle does not say it, or says it of other rules. */
function readsIn(members: ReadonlyMap<string, Buffer>, wasm: Uint8Array): PolicyReads | null {
  const text = members.get(READS);
  const parsed = text === undefined ? undefined : readsSchema.safeParse(parseJson(text.toString("utf8")));
  if (parsed?.success === false) throw new Error(`the bundle's ${READS} is not what mcp-authz build-policy writes`);
  return parsed?.data.wasm === sha256(wasm) ? readStored(parsed.data.reads) : null;
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function unzip(bytes: Uint8Array): Buffer {
  try {
    return gunzipSync(bytes, { maxOutputLength: MAX_BUNDLE_BYTES });
  } catch (error) {
    throw new Error("the bundle is cut off, too large, or not a .tar.gz file", { cause: error });
  }
}
