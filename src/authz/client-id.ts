// The client that a caller's token was issued to. Pure. OpenID Connect Core §2 (`azp`), RFC 9068 §2.2 (`client_id`).
import { hash } from "node:crypto";
import type { Identity } from "./types.ts";

/** Characters of a client's id. */
export const MAX_CLIENT = 256;
const DIGEST = "sha256:";

/**
 * The id of the client; "" if the token names none. Two clients of one user share no session and no task, so an id that is too
 * long, or that looks like a digest, is told apart by its digest.
 */
export function clientOf({ claims }: Pick<Identity, "claims">): string {
  const id = [claims["azp"], claims["client_id"]].find((claim) => typeof claim === "string" && claim !== "");
  if (typeof id !== "string") return "";
  const isPlain = id.length <= MAX_CLIENT && !id.startsWith(DIGEST);
  return isPlain ? id : DIGEST + hash("sha256", id, "base64url");
}
