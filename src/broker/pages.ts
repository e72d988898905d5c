// Pages of a list, with cursors that hold at every replica and for one caller's list only. Pure.
import { createHash } from "node:crypto";

/** A list that is served in pages. */
export interface PagedList {
  /** Values that a cursor is bound to: caller, server, kind, revision of the catalogue. */
  readonly of: readonly (string | null)[];
  /** Entries that the caller may see, in order; already filtered. */
  readonly shown: readonly { readonly name: string; readonly json: string }[];
}

export interface Page {
  /** JSON texts. */
  readonly items: readonly string[];
  readonly nextCursor: string | null;
}

const PAGE_LENGTH = 1024 * 1024;
const BINDING_BYTES = 16;
const FORM = /^[A-Za-z0-9_-]{27}$/;

/**
 * One page of a list, or null for a cursor that is not of exactly this list. A cursor is a place in a list and a digest over
 * it: caller, server, kind, the catalogue's revision and every name. It needs no key: a caller who makes one up must know
 * the list, and gets a page of it, because the filter is applied before the pages. So cursors outlive a restart and hold at
 * every replica, and another caller's cursor is refused (threat model: B44).
 * @param maxEntries entries of one page; Infinity for as many as fit into a page's bytes
 */
export function pageOf(list: PagedList, cursor: unknown, maxEntries: number): Page | null {
  const start = cursor === undefined ? 0 : placeOf(list, cursor);
  if (start === null) return null;
  const items: string[] = [];
  let length = 0;
  for (const { json } of list.shown.slice(start, start + maxEntries)) {
    length += json.length;
    if (items.length > 0 && length > PAGE_LENGTH) break;
    items.push(json);
  }
  const next = start + items.length;
  return { items, nextCursor: next < list.shown.length ? cursorAt(list, next) : null };
}

function placeOf(list: PagedList, cursor: unknown): number | null {
  if (typeof cursor !== "string" || !FORM.test(cursor)) return null;
  const bytes = Buffer.from(cursor, "base64url");
  const place = bytes.readUInt32BE(BINDING_BYTES);
  const isOfThis =
    bytes.subarray(0, BINDING_BYTES).equals(binding(list, place)) && bytes.toString("base64url") === cursor;
  return isOfThis && place > 0 && place < list.shown.length ? place : null;
}

function cursorAt(list: PagedList, place: number): string {
  const bytes = Buffer.alloc(BINDING_BYTES + 4);
  binding(list, place).copy(bytes);
  bytes.writeUInt32BE(place, BINDING_BYTES);
  return bytes.toString("base64url");
}

/** JSON of a list in a list is injective (threat model: D17). */
function binding({ of, shown }: PagedList, place: number): Buffer {
  const names = shown.map(({ name }) => name);
  return createHash("sha256")
    .update(JSON.stringify([of, names, place]))
    .digest()
    .subarray(0, BINDING_BYTES);
}
