// Results of lists that were made before: the same wristband over the same catalogue gets the same bytes. Pure.
import { hash } from "node:crypto";
import { LRUCache } from "lru-cache";
import { pass, type Step } from "../authz/step.ts";
import type { WristbandClaims } from "../wristband/claims.ts";

/** What a first page of a list depends on. */
export interface ListKey {
  readonly method: string;
  readonly version: string;
  /** The URL of the endpoint. */
  readonly resource: string;
  /** Verified. Its `jti` is that of one signature. */
  readonly wristband: Pick<WristbandClaims, "jti" | "exp">;
}

/** The state of the broker; each part is another object once it has changed. */
export interface ListState {
  readonly snapshot: object;
  readonly curation: object;
}

/** A result as JSON text, and the tag of its bytes. */
export interface ListResult {
  readonly text: string;
  /** RFC 9110 §8.8.3; over everything that the caller gets, so over what the catalogue and policy show her. */
  readonly etag: string;
}

export interface ListResults {
  /** The result that was made before, or the one that `make` makes now. */
  of(key: ListKey, state: ListState, make: () => Step<string>): Step<ListResult>;
}

interface Kept {
  readonly result: ListResult;
  readonly state: ListState;
}

const MAX_BYTES = 32 * 1024 * 1024;
/** A result has a TTL of five seconds, but at the end of its wristband's life: then it is made each time. */
const LAST_SECONDS = 6;

/** @param now milliseconds since the epoch */
export function createListResults(now: () => number): ListResults {
  const kept = new LRUCache<string, Kept>({
    maxSize: MAX_BYTES,
    sizeCalculation: ({ result }) => result.text.length + 256,
  });
  return {
    of({ method, version, resource, wristband: { jti, exp } }, state, make) {
      const key = JSON.stringify([jti, method, version, resource]);
      const before = kept.get(key);
      const isLasting = exp - now() / 1000 > LAST_SECONDS;
      if (before !== undefined && isLasting && isSame(before.state, state)) return pass(before.result);
      const made = make();
      if (!made.ok) return made;
      const result = { text: made.value, etag: `"${hash("sha256", made.value, "base64url")}"` };
      if (isLasting) kept.set(key, { result, state });
      return pass(result);
    },
  };
}

function isSame(a: ListState, b: ListState): boolean {
  return a.snapshot === b.snapshot && a.curation === b.curation;
}
