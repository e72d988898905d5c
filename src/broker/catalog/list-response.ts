// Reads the response to a list request, which can be long: in slices, with the items left in place. Pure but for the slices.
import { isObject } from "../../json/object.ts";
import type { JsonValue } from "../../json/types.ts";
import {
  inSlices,
  looseInnerObjectSpanIn,
  looseItemsIn,
  looseObjectSpanIn,
  type ObjectSpan,
  type Span,
  type Steps,
} from "../../json/spans.ts";
import { readJson } from "../../json/strict-reader.ts";
import type { Slices } from "../../async/slices.ts";
import { isResponseTo } from "../upstream/client.ts";

export type ListResponse =
  | { readonly kind: "result"; readonly result: ListResult }
  /** Null for an error without a code. */
  | { readonly kind: "error"; readonly code: number | null };

/** A result whose members are located, not parsed. */
export interface ListResult {
  /** A short member; undefined if it is missing, long or malformed. */
  value(name: string): JsonValue | undefined;
  /** Visits the items of a member in slices; false if the member is no array. */
  items(name: string, visit: (item: Buffer) => void): Promise<boolean>;
}

/** Members other than the list are shorter. */
const MAX_SHORT_BYTES = 16 * 1024;
const LIMITS = { maxDepth: 32, maxMembers: 1000, verbatim: true };

/** To find a value costs so much less than to read it. */
const FIND_COST = 1 / 8;

/** The response to the request with this id, or null for anything else. */
export async function readListResponse(text: Buffer, id: number, slices: Slices): Promise<ListResponse | null> {
  const object = await find(looseObjectSpanIn(text), slices);
  if (object === null) return null;
  const { members } = object;
  const error = shortValue(text, members.get("error"));
  if (!isResponseTo(id, shortValue(text, members.get("id")), members.has("error"))) return null;
  if (members.has("error")) {
    const code = isObject(error) ? error["code"] : null;
    return { kind: "error", code: typeof code === "number" ? code : null };
  }
  const result = await find(looseInnerObjectSpanIn(text, members.get("result")), slices);
  return result === null ? null : { kind: "result", result: resultAt(text, result, slices) };
}

function resultAt(text: Buffer, { members }: ObjectSpan, slices: Slices): ListResult {
  return {
    value: (name) => shortValue(text, members.get(name)),
    async items(name, visit) {
      const counted = (item: Buffer) => {
        read += item.length;
        visit(item);
      };
      let read = 0;
      const steps = looseItemsIn(text, members.get(name), counted);
      const isList = await inSlices(steps, (found) => {
        const cost = found * FIND_COST + read;
        read = 0;
        return slices.spend(cost);
      });
      return isList !== null;
    },
  };
}

function find<T>(steps: Steps<T>, slices: Slices): Promise<T> {
  return inSlices(steps, (bytes) => slices.spend(bytes * FIND_COST));
}

function shortValue(text: Buffer, span: Span | undefined): JsonValue | undefined {
  if (span === undefined || span.end - span.start > MAX_SHORT_BYTES) return undefined;
  const read = readJson(text.subarray(span.start, span.end), LIMITS);
  return read.ok ? read.value : undefined;
}
