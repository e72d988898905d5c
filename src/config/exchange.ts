import type { Say } from "./problem.ts";

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
