// What broker and serve say to each other when a server has answered a call with 401: the broker shows the call's wristband and
// that it knows the refused credential, serve answers with another one (docs/credentials.md). Pure.
import { createHmac, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import { DESTINATION } from "../authz/destination.ts";
import { parseJson } from "../json/parse.ts";
import type { Secret } from "../secret/secret.ts";

/** Of serve's operator listener; asked by POST, without a body, with the wristband as Bearer. */
export const REFETCH_PATH = "/credential/refetch";
/** Header: the server that answered 401. */
export const REFUSED_BY = "mcp-authz-refused-by";
/** Header: {@link proofOf}. */
export const REFUSED_PROOF = "mcp-authz-refused-proof";
/** A credential has 48 KiB at most; JSON may write a character as six. */
export const MAX_REFETCHED_BYTES = 320 * 1024;

/** The proof that whoever has this wristband also has the credential that was sent with it (HMAC-SHA256, base64url). */
export function proofOf(jws: string, refused: Secret): string {
  return createHmac("sha256", refused.reveal()).update(jws).digest("base64url");
}

export function isProof(given: string, jws: string, refused: Secret): boolean {
  const [one, other] = [Buffer.from(given), Buffer.from(proofOf(jws, refused))];
  return one.length === other.length && timingSafeEqual(one, other);
}

const answer = z.strictObject({
  credential: z
    .strictObject({
      header: z.string().min(1).max(256),
      value: z.string().min(1),
      /** As in `x-upstream-more`; null where there is nothing more. */
      more: z.string().min(1).nullable(),
      /** The only place that it goes to. */
      destination: z.string().regex(DESTINATION),
    })
    .nullable(),
});
/** The other credential, in the form in which one comes with a call; null where there is none. */
export type RefetchAnswer = z.output<typeof answer>;

/** Null for what is no answer. */
export function readRefetchAnswer(body: Buffer): RefetchAnswer | null {
  try {
    return answer.safeParse(parseJson(body.toString("utf8"))).data ?? null;
  } catch {
    return null;
  }
}
