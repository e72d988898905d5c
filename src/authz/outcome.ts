// The outcome of a Check. Types only.
import type { Grant } from "./grant.ts";
import type { Publication } from "./public-document.ts";
import type { Refused } from "./step.ts";

/** The outcome of a Check. A {@link Grant} is the only value that can leave as status 0. */
export type Outcome =
  | { readonly ok: true; readonly value: Grant }
  | { readonly ok: true; readonly value: Publication }
  | Refused;
