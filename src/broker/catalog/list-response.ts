// A server's answer to a list request, which can be long: read in slices, with the list's items left where they stand.
import type { JsonValue } from "../../json/types.ts";
import type { Span } from "../../json/spans.ts";
import { isObject } from "../../mcp/envelope.ts";
import { readJson } from "../../json/strict-reader.ts";
import { skipSpace, walkItems, walkObject, WalkFault } from "../../json/walk.ts";
import type { Slices } from "../../async/slices.ts";

export type ListAnswer =
  | { readonly kind: "result"; readonly result: ListResult }
  /** Null for an error without a code. */
  | { readonly kind: "error"; readonly code: number | null };

/** A result whose members were found, and not read. */
export interface ListResult {
  /** A short member; undefined if it is not there, long or malformed. */
  value(name: string): JsonValue | undefined;
  /** Visits the items of a member that is an array, in slices. @throws {WalkFault} if it is none */
  items(name: string, visit: (item: Buffer) => void): Promise<void>;
}

/** Beside a list nothing is this long. */
const MAX_SHORT_BYTES = 16 * 1024;
const LIMITS = { maxDepth: 32, maxMembers: 1000, verbatim: true };

/** The answer to the request with this id, or null for anything else. */
export async function readListAnswer(text: Buffer, id: number, slices: Slices): Promise<ListAnswer | null> {
  try {
    const { members, end } = await walkObject(text, 0, slices);
    if (skipSpace(text, end) !== text.length) return null;
    const answerId = shortValue(text, members.get("id"));
    const error = shortValue(text, members.get("error"));
    const result = members.get("result");
    // An error about a message that the server could not read has no id.
    if (members.has("error")) {
      if (answerId !== id && (answerId ?? null) !== null) return null;
      const code = isObject(error) ? error["code"] : null;
      return { kind: "error", code: typeof code === "number" ? code : null };
    }
    return result === undefined || answerId !== id
      ? null
      : { kind: "result", result: await resultAt(text, result, slices) };
  } catch (fault) {
    if (fault instanceof WalkFault) return null;
    throw fault;
  }
}

async function resultAt(text: Buffer, { start }: Span, slices: Slices): Promise<ListResult> {
  const { members } = await walkObject(text, start, slices);
  return {
    value: (name) => shortValue(text, members.get(name)),
    items: (name, visit) => walkItems({ text, slices }, members.get(name)?.start ?? text.length, visit),
  };
}

function shortValue(text: Buffer, span: Span | undefined): JsonValue | undefined {
  if (span === undefined || span.end - span.start > MAX_SHORT_BYTES) return undefined;
  const read = readJson(text.subarray(span.start, span.end), LIMITS);
  return read.ok ? read.value : undefined;
}
