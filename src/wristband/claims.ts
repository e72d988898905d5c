import { z } from "zod";

/** `typ` of a wristband: no other token is taken for one, and it is taken for no other (RFC 8725 §3.11). */
export const WRISTBAND_TYPE = "wristband+jwt";

const names = z.record(z.string(), z.array(z.string()));
const text = z.string().min(1);
const seconds = z.int().positive();

/** What a wristband says (design 4.6): who the caller is at whose issuer, and what she may see, per server, sorted. */
export const wristbandClaims = z.strictObject({
  iss: text,
  aud: text,
  sub: text,
  /** The caller's issuer. */
  idp: text,
  iat: seconds,
  exp: seconds,
  jti: text,
  /** When the caller's own token ends: no stream of hers goes on after it. */
  caller_exp: seconds,
  tools: names,
  prompts: names,
  resources: names,
});

export type WristbandClaims = z.output<typeof wristbandClaims>;
