// What was left out of a server's lists or changed in them: counted by reason, with the first names. Pure.

/**
 * Why an entry is left out; `alias_taken`: its name is the alias of another tool; `prefixed_name`: on the merged endpoint only,
 * where its name would be too long; `alias_unused`: no entry, but an alias of a tool that the server does not list.
 */
export const DROP_REASONS = [
  "malformed",
  "name",
  "not_offered",
  "alias_taken",
  "alias_unused",
  "duplicate",
  "header_annotation",
  "too_large",
  "too_deep",
  "too_many",
  "prefixed_name",
] as const;
export type DropReason = (typeof DROP_REASONS)[number];

/**
 * What of an entry is changed. `text`: characters that people do not see; `text_cut`: a text beyond its limit; `member`: an
 * optional member that the protocol's schema rejects; `output_schema`: one that clients cannot use, left out; `input_schema`:
 * mended in place.
 */
export const CHANGE_REASONS = ["text", "text_cut", "member", "output_schema", "input_schema"] as const;
export type ChangeReason = (typeof CHANGE_REASONS)[number];

/** Number of entries, and the first names among them: printable, at most 10. */
export interface Remark {
  readonly count: number;
  readonly names: readonly string[];
}
export type Remarks<Reason extends string> = Partial<Record<Reason, Remark>>;

/** Filled while lists are read. */
export interface ListingStats {
  readonly dropped: Remarks<DropReason>;
  readonly changed: Remarks<ChangeReason>;
}

const MAX_NAMES = 10;
const MAX_NAME = 64;

export function emptyStats(): ListingStats {
  return { dropped: {}, changed: {} };
}

/** Counts one entry under a reason. @param name as its server wrote it; null for one that is only counted */
export function remark<Reason extends string>(remarks: Remarks<Reason>, reason: Reason, name: string | null): void {
  const { count, names } = remarks[reason] ?? { count: 0, names: [] };
  const isNamed = name !== null && hasRoom(remarks[reason]);
  remarks[reason] = { count: count + 1, names: isNamed ? [...names, printable(name)] : names };
}

/** True if one more name is kept. */
export function hasRoom(remark: Remark | undefined): boolean {
  return remark === undefined || remark.names.length < MAX_NAMES;
}

/** What a person can read of a name: escapes for what does not show, and "…" for what is beyond 64 characters. */
export function printable(name: string): string {
  const start = Array.from(name.slice(0, 2 * MAX_NAME));
  const isCut = start.length > MAX_NAME || name.length > 2 * MAX_NAME;
  const shown = start.slice(0, MAX_NAME).map((letter) => (SHOWN.test(letter) ? letter : escapeOf(letter)));
  return shown.join("") + (isCut ? "…" : "");
}

/** Letters, marks, digits, punctuation, symbols and the space: neither controls nor what is invisible or reorders text. */
const SHOWN = /^(?!\p{Default_Ignorable_Code_Point}|[\ufff9-\ufffb])[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u;

function escapeOf(letter: string): string {
  return `\\u{${(letter.codePointAt(0) ?? 0).toString(16)}}`;
}
