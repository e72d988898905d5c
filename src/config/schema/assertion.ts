// What the gateway says of callers to servers in assertions that it signs: its keys, and one server's assertion. Pure.
import { z } from "zod";
import { KID } from "../../jose/key-set.ts";
import { url, type FileSchema } from "./values.ts";

/** Claims that the gateway writes itself, or whose meaning no copy can have (RFC 7519 §4.1, RFC 8693 §4, RFC 7800 §3.1). */
const OWN_CLAIMS = new Set("iss aud sub exp nbf iat jti idp act may_act client_id azp cnf typ".split(" "));
/** A claim's name: a word, or a URL (RFC 7519 §4.2). */
const CLAIM = /^[A-Za-z][A-Za-z0-9_.:/-]{0,127}$/;

/** The section `assertions`: who signs. */
export const assertionsSchema = (file: FileSchema) =>
  z.strictObject({
    issuer: url.meta({ description: "`iss` of every assertion: the name under which servers know the gateway" }),
    keys: z
      .array(
        z.strictObject({
          kid: z.string().regex(KID).meta({ description: "the key's name; the first key signs, all are published" }),
          file: file.meta({ description: "a P-256 private key, PEM; none of `wristband.keys`" }),
        }),
      )
      .min(1),
  });

/** The keys of one server's assertion, but for the header. */
export const assertionKeys = {
  audience: z.string().min(1).max(256).nullable().default(null).meta({
    description: "`aud`: the server as it knows itself",
    unset: "the server's `url`",
  }),
  claims: z
    .record(
      z
        .string()
        .regex(CLAIM, "must be a claim's name")
        .refine((name) => !OWN_CLAIMS.has(name), "is a claim that the gateway writes itself"),
      z.string().min(1),
    )
    .default({})
    .meta({
      description:
        "further claims: each name, and where its value stands in the caller's token (a claim, or a JSON Pointer that begins with `/`); a caller without one is refused",
    }),
  qualifySubject: z.boolean().default(false).meta({
    description: "`sub` is `<issuer alias>|<sub>`; required with several `identity.issuers`",
  }),
  seconds: z.int().min(5).max(60).default(60).meta({ description: "how long one lives" }),
};
