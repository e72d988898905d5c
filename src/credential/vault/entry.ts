import type { JsonObject, JsonValue } from "../../json/types.ts";
import type { Reply } from "./client.ts";
import { isObject, member } from "./json-fields.ts";

/** What a KV v2 read says. */
export type Reading =
  | { readonly found: Entry }
  /** Nobody has written this entry, or its newest version was deleted. */
  | { readonly none: string }
  /** In our words: never a part of the answer. */
  | { readonly cannotTell: string };

export interface Entry {
  readonly value: string;
  readonly version: number;
  readonly owner: { readonly issuer: JsonValue | undefined; readonly subject: JsonValue | undefined };
  /** Milliseconds since the epoch at which a Vault will delete this version by itself; null for never. */
  readonly endsAt: number | null;
}

const MAX_VALUE = 4096;
const VISIBLE = /^[\x21-\x7e]+$/;

/**
 * Tells *has none* from *cannot tell* (design 5.3). A Vault says 404 to both: for an entry that is not there, and for a
 * mount, a namespace or a route that is not (tried with OpenBao 2.7.2).
 */
export function readEntry(reply: Reply, field: string): Reading {
  if (!reply.ok) return { cannotTell: reply.fault };
  if (reply.status === 404) return readAbsence(reply.body);
  if (reply.status === 403) return { cannotTell: "status 403, the policy of our log-in does not allow this path" };
  if (reply.status !== 200) return { cannotTell: `status ${reply.status}` };
  const data = member(reply.body, "data");
  const metadata = member(data, "metadata");
  // A KV v1 mount answers 200 without metadata.
  const version = member(metadata, "version");
  if (!isObject(metadata) || typeof version !== "number") return { cannotTell: "not an answer of KV v2" };
  const content = member(data, "data");
  if (!isObject(content)) return { cannotTell: "the entry is empty" };
  return readValue(content[field], version, metadata);
}

function readAbsence(body: JsonValue): Reading {
  const { errors, data, warnings } = isObject(body) ? body : ({} as JsonObject);
  if (Array.isArray(errors) && errors.length === 0 && data === undefined && (warnings ?? null) === null) {
    return { none: "no entry" };
  }
  const metadata = member(data, "metadata");
  const deleted = member(metadata, "destroyed") === true || endOf(metadata) !== null;
  if (member(data, "data") === null && deleted) return { none: "the entry is deleted" };
  return { cannotTell: "status 404 of something else than an entry: is the mount or the namespace there?" };
}

function readValue(value: JsonValue | undefined, version: number, metadata: JsonObject): Reading {
  if (value === undefined) return { cannotTell: "the entry has no such field" };
  if (typeof value !== "string" || value === "") return { cannotTell: "the field is not a text" };
  if (value.length > MAX_VALUE) return { cannotTell: "the field is longer than 4096 characters" };
  if (!VISIBLE.test(value)) return { cannotTell: "the field holds something else than visible ASCII" };
  const custom = metadata["custom_metadata"];
  const owner = { issuer: member(custom, "owner_iss"), subject: member(custom, "owner_sub") };
  return { found: { value, version, owner, endsAt: endOf(metadata) } };
}

/** `deletion_time`: also in the future, for versions that end by themselves. What cannot be read has ended. */
function endOf(metadata: JsonValue | undefined): number | null {
  const time = member(metadata, "deletion_time");
  if (time === undefined || time === "") return null;
  const milliseconds = typeof time === "string" ? Date.parse(time) : Number.NaN;
  return Number.isNaN(milliseconds) ? 0 : milliseconds;
}
