// Reads a KV version 2 entry from a Vault's response (Vault API, "Read secret version"). Pure.
import { isObject } from "../../json/object.ts";
import type { JsonObject, JsonValue } from "../../json/types.ts";
import type { VaultResponse } from "./client.ts";
import { member } from "./json-fields.ts";

/** The result of reading an entry. */
export type EntryResult =
  | { readonly found: Entry }
  /** The entry was never written, or its newest version is deleted. */
  | { readonly none: string }
  /** The Vault does not know this caller. */
  | { readonly refused: string }
  /** The reason in words of this program: never a part of the response. */
  | { readonly cannotTell: string };

export interface Entry {
  readonly value: string;
  /** Of the further fields that were asked for, in their order. */
  readonly more: readonly string[];
  readonly version: number;
  readonly owner: { readonly issuer: JsonValue | undefined; readonly subject: JsonValue | undefined };
  /** Milliseconds since the epoch at which the Vault deletes this version (`delete_version_after`); null for never. */
  readonly endsAt: number | null;
}

const MAX_VALUE = 4096;
const VISIBLE = /^[\x21-\x7e]+$/;

/**
 * Distinguishes *has none* from *cannot tell*. A Vault sends 404 for both: for an entry that does not exist, and for a mount,
 * a namespace or a route that does not (OpenBao 2.7.2).
 */
export function readEntry(response: VaultResponse, field: string, more: readonly string[] = []): EntryResult {
  if (!response.ok) return { cannotTell: response.fault };
  if (response.status === 404) return readAbsence(response.body);
  if (response.status === 403) return { cannotTell: "status 403, the policy of our log-in does not allow this path" };
  if (response.status !== 200) return { cannotTell: `status ${response.status}` };
  const data = member(response.body, "data");
  const metadata = member(data, "metadata");
  // A KV v1 mount answers 200 without metadata.
  const version = member(metadata, "version");
  if (!isObject(metadata) || typeof version !== "number") return { cannotTell: "not an answer of KV v2" };
  const content = member(data, "data");
  if (!isObject(content)) return { cannotTell: "the entry is empty" };
  const values = [field, ...more].map((name) => content[name]);
  const fault = values.map(faultOfValue).find((one) => one !== null);
  if (fault !== undefined) return { cannotTell: fault };
  const custom = metadata["custom_metadata"];
  const owner = { issuer: member(custom, "owner_iss"), subject: member(custom, "owner_sub") };
  const [value = "", ...others] = values as string[];
  return { found: { value, more: others, version, owner, endsAt: endOf(metadata) } };
}

function readAbsence(body: JsonValue): EntryResult {
  const { errors, data, warnings } = isObject(body) ? body : ({} as JsonObject);
  if (Array.isArray(errors) && errors.length === 0 && data === undefined && (warnings ?? null) === null) {
    return { none: "no entry" };
  }
  const metadata = member(data, "metadata");
  const deleted = member(metadata, "destroyed") === true || endOf(metadata) !== null;
  if (member(data, "data") === null && deleted) return { none: "the entry is deleted" };
  return { cannotTell: "status 404 of something else than an entry: is the mount or the namespace there?" };
}

/** The fault of a field's value, or null for a text that a header can carry. */
export function faultOfValue(value: JsonValue | undefined): string | null {
  if (value === undefined) return "the entry has no such field";
  if (typeof value !== "string" || value === "") return "the field is not a text";
  if (value.length > MAX_VALUE) return "the field is longer than 4096 characters";
  return VISIBLE.test(value) ? null : "the field holds something else than visible ASCII";
}

/** Reads `deletion_time`, which is in the future for versions with an end. A malformed time counts as past. */
function endOf(metadata: JsonValue | undefined): number | null {
  const time = member(metadata, "deletion_time");
  if (time === undefined || time === "") return null;
  const milliseconds = typeof time === "string" ? Date.parse(time) : Number.NaN;
  return Number.isNaN(milliseconds) ? 0 : milliseconds;
}
