// Ids of client sessions: sealed, so that every replica can read whose they are and which replica owns them. Pure but for the
// sealer's randomness.
import { randomBytes } from "node:crypto";
import type { Sealer } from "../../secret/seal.ts";

/** Whose a session is. Nobody else, no other client of the same user and no other endpoint can use its id. */
export interface SessionHolder {
  /** Issuer and subject of the caller's token. */
  readonly idp: string;
  readonly sub: string;
  /** The client that the token was issued to; "" if it does not say. */
  readonly client: string;
  /** URL of the endpoint. */
  readonly resource: string;
  /** The endpoint's server; null on the merged endpoint. */
  readonly server: string | null;
  /** True for a client of HTTP+SSE: the endpoint's URL says it. */
  readonly isSse?: boolean;
}

/** What an id says. */
export interface SessionRef {
  /** Random, one for each session. */
  readonly key: string;
  /** Address of the replica that owns it. */
  readonly owner: string;
}

export interface SessionIds {
  mint(holder: SessionHolder): { readonly id: string; readonly key: string };
  /** Null for an id that is foreign, altered or older than a session may become. */
  read(id: string, holder: SessionHolder): SessionRef | null;
}

export interface SessionIdOptions {
  readonly sealer: Sealer;
  /** Where other replicas reach this one. */
  readonly owner: string;
  readonly absoluteMs: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

const KEY_BYTES = 16;
const TIME_BYTES = 6;
/** Milliseconds that clocks of replicas may differ. */
const SKEW_MS = 60_000;

/** Form: key, time of issue, owner. */
export function createSessionIds({ sealer, owner, absoluteMs, now }: SessionIdOptions): SessionIds {
  return {
    mint(holder) {
      const key = randomBytes(KEY_BYTES);
      const time = Buffer.alloc(TIME_BYTES);
      time.writeUIntBE(now(), 0, TIME_BYTES);
      const value = Buffer.concat([key, time, Buffer.from(owner)]);
      return { id: sealer.seal(value, contextOf(holder)), key: key.toString("base64url") };
    },
    read(id, holder) {
      const value = sealer.open(id, contextOf(holder));
      if (value === null || value.length < KEY_BYTES + TIME_BYTES) return null;
      const age = now() - value.readUIntBE(KEY_BYTES, TIME_BYTES);
      if (age >= absoluteMs || age < -SKEW_MS) return null;
      return {
        key: value.toString("base64url", 0, KEY_BYTES),
        owner: value.toString("utf8", KEY_BYTES + TIME_BYTES),
      };
    },
  };
}

function contextOf({ idp, sub, client, resource }: SessionHolder) {
  // The endpoint's URL says which server it has.
  return { purpose: "session", bound: [idp, sub, client, resource] };
}
