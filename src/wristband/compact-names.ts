// Names of a wristband in short form: per server a bitset over the sorted names of one revision of its list. Pure.
import { hash } from "node:crypto";

/** The names of one server's list; each array in ascending order by code unit, each name once. */
export interface ServerNames {
  readonly tools: readonly string[];
  readonly prompts: readonly string[];
  readonly resources: readonly string[];
}

/** The names that a server lists, and their revision. */
export interface RevisedNames extends ServerNames {
  readonly revision: string;
}

/** For each kind the names per server: a list, or a bitset over the names of the server's revision. */
export interface PackedNames {
  readonly tools: Readonly<Record<string, readonly string[] | string>>;
  readonly prompts: Readonly<Record<string, readonly string[] | string>>;
  readonly resources: Readonly<Record<string, readonly string[] | string>>;
  /** The revision of each server that has a bitset. */
  readonly cat: Readonly<Record<string, string>>;
}

type Visible = Readonly<Record<NameClaim, Readonly<Record<string, readonly string[]>>>>;
type Names = Readonly<Record<NameClaim, Record<string, string[]>>>;

/** The claims that name what may be seen or called. */
export const NAME_CLAIMS = ["tools", "prompts", "resources"] as const;
export type NameClaim = (typeof NAME_CLAIMS)[number];

/** Base64url characters of a revision: 132 bits, so that no server can make two lists of one revision. */
export const REVISION_CHARS = 22;
/** Bytes of JSON up to which all names stay in plain form. */
export const PLAIN_BYTES = 4096;
/** Revisions of each server that {@link createNameHistory} keeps. */
const KEPT_REVISIONS = 8;

/** Sorts the names of a server and computes their revision: a digest of the names alone, the same in both processes. */
export function revisedNames(names: ServerNames): RevisedNames {
  const [tools, prompts, resources] = [ascending(names.tools), ascending(names.prompts), ascending(names.resources)];
  const digest = hash("sha256", JSON.stringify([tools, prompts, resources]), "base64url");
  return { tools, prompts, resources, revision: digest.slice(0, REVISION_CHARS) };
}

function ascending(names: readonly string[]): string[] {
  return [...new Set(names)].sort();
}

/**
 * Packs names: all stay plain while they take at most {@link PLAIN_BYTES}; above that, a list whose names the server's
 * revision has becomes a bitset where that is shorter.
 * @param visible each list in ascending order
 */
export function packNames(visible: Visible, revisionOf: (server: string) => RevisedNames | undefined): PackedNames {
  const plain = { tools: visible.tools, prompts: visible.prompts, resources: visible.resources, cat: {} };
  if (Buffer.byteLength(JSON.stringify(plain)) <= PLAIN_BYTES) return plain;
  const cat: Record<string, string> = {};
  const pack = (kind: NameClaim) => {
    const packed: Record<string, readonly string[] | string> = {};
    for (const [server, names] of Object.entries(visible[kind])) {
      const listed = revisionOf(server);
      const bits = listed === undefined ? null : bitsetOf(names, listed[kind]);
      const isShorter = bits !== null && bits.length < JSON.stringify(names).length;
      packed[server] = isShorter ? bits : names;
      if (isShorter && listed !== undefined) cat[server] = listed.revision;
    }
    return packed;
  };
  const [tools, prompts, resources] = [pack("tools"), pack("prompts"), pack("resources")];
  return { tools, prompts, resources, cat };
}

/** Bit `i` (least significant first) is that of `listed[i]`; null if a name is not listed. */
function bitsetOf(names: readonly string[], listed: readonly string[]): string | null {
  const bytes = Buffer.alloc(Math.ceil(listed.length / 8));
  let at = 0;
  for (const name of names) {
    while (at < listed.length && (listed[at] ?? "") < name) at += 1;
    if (listed[at] !== name) return null;
    bytes[at >> 3] = (bytes[at >> 3] ?? 0) | (1 << (at & 7));
  }
  return bytes.toString("base64url");
}

/** The names of packed claims; `revision`: a revision is not known here; `malformed`: a bitset does not fit its list. */
export type Unpacked =
  | { readonly ok: true; readonly names: Names }
  | { readonly ok: false; readonly fault: "revision" | "malformed" };

/** Unpacks names. No name is shown for a bitset that does not fit exactly. */
export function unpackNames(
  packed: PackedNames,
  revisionOf: (server: string, revision: string) => RevisedNames | undefined,
): Unpacked {
  const names: Names = { tools: {}, prompts: {}, resources: {} };
  for (const kind of NAME_CLAIMS) {
    for (const [server, list] of Object.entries(packed[kind])) {
      if (typeof list !== "string") {
        names[kind][server] = [...list];
        continue;
      }
      const revision = Object.hasOwn(packed.cat, server) ? packed.cat[server] : undefined;
      if (revision === undefined) return { ok: false, fault: "malformed" };
      const listed = revisionOf(server, revision);
      if (listed === undefined) return { ok: false, fault: "revision" };
      const shown = namesIn(list, listed[kind]);
      if (shown === null) return { ok: false, fault: "malformed" };
      names[kind][server] = shown;
    }
  }
  return { ok: true, names };
}

function namesIn(bits: string, listed: readonly string[]): string[] | null {
  const bytes = Buffer.from(bits, "base64url");
  if (bytes.toString("base64url") !== bits || bytes.length !== Math.ceil(listed.length / 8)) return null;
  const isSet = (i: number) => ((bytes[i >> 3] ?? 0) & (1 << (i & 7))) !== 0;
  for (let i = listed.length; i < bytes.length * 8; i += 1) if (isSet(i)) return null;
  return listed.filter((_, i) => isSet(i));
}

/** The last revisions of each server's names. */
export interface NameHistory {
  /** Takes the names that a server lists now. */
  add(server: string, names: ServerNames): void;
  find(server: string, revision: string): RevisedNames | undefined;
}

export function createNameHistory(): NameHistory {
  const servers = new Map<string, Map<string, RevisedNames>>();
  return {
    add(server, names) {
      const revised = revisedNames(names);
      const kept = servers.get(server) ?? new Map<string, RevisedNames>();
      servers.set(server, kept);
      kept.delete(revised.revision);
      kept.set(revised.revision, revised);
      const [oldest] = kept.keys();
      if (kept.size > KEPT_REVISIONS && oldest !== undefined) kept.delete(oldest);
    },
    find: (server, revision) => servers.get(server)?.get(revision),
  };
}

/** The revised names of servers of one catalogue, each made when it is first asked for. */
export function listedNames(
  servers: Readonly<Record<string, ServerNames>>,
): (server: string) => RevisedNames | undefined {
  const made = new Map<string, RevisedNames>();
  return (server) => {
    const known = made.get(server);
    const names = Object.hasOwn(servers, server) ? servers[server] : undefined;
    if (known !== undefined || names === undefined) return known;
    const revised = revisedNames(names);
    made.set(server, revised);
    return revised;
  };
}
