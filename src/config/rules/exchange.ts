// Rules of the credential kind `exchange`: RFC 8693 with the caller's token as `subject_token`. Pure.
import { templateFault } from "../../credential/caller-text.ts";
import { aliasFault } from "./headers.ts";
import type { Report, Reporter } from "../problem.ts";
import type { Config, CredentialConfig } from "../schema.ts";

type ExchangeConfig = Extract<CredentialConfig, { kind: "exchange" }>;

export function checkExchange(config: Config, reporter: Reporter): void {
  for (const [name, { credential }] of Object.entries(config.servers)) {
    credential.forEach((entry, i) => {
      if (entry.kind === "exchange")
        checkEntry(config, { ...entry, key: `servers.${name}.credential[${i}].exchange` }, reporter);
    });
  }
}

/** @param entry with its key in the file */
function checkEntry(
  config: Config,
  entry: ExchangeConfig & { readonly key: string },
  { problem, warn }: Reporter,
): void {
  const { key } = entry;
  const issuers = config.identity.issuers.map(({ issuer }) => issuer);
  checkTemplates(config, entry, problem);
  if (entry.issuer === null && issuers.length > 1) {
    problem(`${key}.issuer`, "is required with several issuers: no IdP may be shown the tokens of another");
  }
  if (entry.issuer !== null && !issuers.includes(entry.issuer)) {
    problem(`${key}.issuer`, `${entry.issuer} is none of identity.issuers`);
  }
  if (entry.mode === "delegation" && entry.profile === "keycloak") {
    problem(`${key}.mode`, "delegation is not to be had: Keycloak's standard token exchange (V2) ignores actor_token");
  }
  if (entry.scope === null && entry.allowScopes.length === 0) {
    warn(
      `${key}.scope`,
      "is not set: a token with any scope is refused, also with one that the IdP grants unasked; name what is wanted here, or what is accepted in allowScopes",
    );
  }
}

function checkTemplates(
  config: Config,
  { audience, scope, key }: ExchangeConfig & { readonly key: string },
  problem: Report,
): void {
  for (const [name, text] of Object.entries({ audience, scope: scope ?? "" })) {
    const fault = templateFault(text) ?? aliasFault(config, text);
    if (fault !== null) problem(`${key}.${name}`, fault);
  }
}
