import { z } from "zod";
import type { Say } from "./problem.ts";
import type { Secret } from "../secret/secret.ts";

/** What the shape of `exchange` has in common with the rest of the file. */
interface Shapes<P extends z.core.$ZodLooseShape> {
  readonly url: z.ZodType<string, string>;
  readonly file: z.ZodType<string, string>;
  readonly secret: z.ZodType<Secret, { file: string } | { env: string }>;
  /** `header` and `scheme`. */
  readonly placement: P;
}

/** RFC 6749 §3.3. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+$/;
const SCOPES = /^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/;

/** The credential kind `exchange` (docs/credentials.md). */
export function exchangeSchema<P extends z.core.$ZodLooseShape>({ url, file, secret, placement }: Shapes<P>) {
  return z.strictObject({
    tokenEndpoint: url.refine(
      isAsSent,
      "must have a path, written as it is sent: no dot segments, spaces or characters that need an escape",
    ),
    issuer: url.nullable().default(null),
    profile: z.enum(["rfc8693", "keycloak"]).default("rfc8693"),
    mode: z.enum(["impersonation", "delegation"]).default("impersonation"),
    client: z.strictObject({ id: z.string().min(1), secret }),
    audience: z.string().min(1),
    scope: z
      .string()
      .regex(SCOPES, "names scopes with one space between them; to ask for none, leave it out")
      .nullable()
      .default(null),
    allowScopes: z.array(z.string().regex(SCOPE, "a scope is visible ASCII without spaces")).default([]),
    timeoutMs: z.int().positive().default(500),
    caFile: file.nullable().default(null),
    ...placement,
  });
}

/** The path goes out byte for byte: what a URL parser would clean must not be in it. */
function isAsSent(text: string): boolean {
  const parsed = URL.parse(text);
  const path = /^[a-z]+:\/\/[^/?]*(.*)$/i.exec(text)?.[1];
  return parsed !== null && path === `${parsed.pathname}${parsed.search}`;
}

interface Checked {
  /** Where it stands in the file. */
  readonly key: string;
  readonly checkTimeoutMs: number;
  /** Of `identity`. */
  readonly issuers: readonly string[];
  readonly entry: {
    readonly issuer: string | null;
    readonly timeoutMs: number;
    readonly profile: string;
    readonly mode: string;
    readonly scope: string | null;
    readonly allowScopes: readonly string[];
  };
}

/** Rules between `exchange` and other keys. */
export function checkExchange({ key, checkTimeoutMs, issuers, entry }: Checked, problem: Say, warn: Say): void {
  if (entry.issuer === null && issuers.length > 1) {
    problem(`${key}.issuer`, "is required with several issuers: no IdP may be shown the tokens of another");
  }
  if (entry.issuer !== null && !issuers.includes(entry.issuer)) {
    problem(`${key}.issuer`, `${entry.issuer} is none of identity.issuers`);
  }
  if (entry.mode === "delegation" && entry.profile === "keycloak") {
    problem(`${key}.mode`, "delegation is not to be had: Keycloak's standard token exchange (V2) ignores actor_token");
  }
  if (entry.timeoutMs >= checkTimeoutMs) {
    problem(
      `${key}.timeoutMs`,
      `${entry.timeoutMs} must be smaller than checkTimeoutMs (${checkTimeoutMs}): else the Check ends before the answer of a slow IdP`,
    );
  }
  if (entry.scope === null && entry.allowScopes.length === 0) {
    warn(
      `${key}.scope`,
      "is not set: a token with any scope is refused, also with one that the IdP grants unasked; name what is wanted here, or what is accepted in allowScopes",
    );
  }
}
