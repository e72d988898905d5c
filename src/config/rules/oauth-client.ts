// Rules of the gateway's clients at IdPs: keys that can be used, secrets that are none, times. Pure but for the files of keys.
import { readClientKey } from "../../credential/exchange/client-auth.ts";
import type { Reporter } from "../problem.ts";
import type { Config, CredentialConfig } from "../schema.ts";

type OAuthEntry = Extract<CredentialConfig, { kind: "exchange" | "client_credentials" }>;

/** RFC 6749 §10.10: what can be guessed is no secret. IdPs make secrets of 32 characters and more. */
const SHORT = 32;
const DEFAULTS = /^(?:secret|client[-_ ]?secret|password|changeme|change[-_ ]?me|admin|test|default|example|todo|x+)$/i;

export function checkOAuthClients(config: Config, reporter: Reporter): void {
  for (const [name, { credential }] of Object.entries(config.servers)) {
    credential.forEach((entry, i) => {
      if (entry.kind !== "exchange" && entry.kind !== "client_credentials") return;
      const key = `servers.${name}.credential[${i}].${entry.kind}`;
      checkClient(entry, `${key}.client`, reporter);
      checkTime(entry, { key, checkTimeoutMs: config.checkTimeoutMs }, reporter);
    });
  }
}

function checkClient({ client }: OAuthEntry, key: string, { problem, warn }: Reporter): void {
  const { secret, privateKey } = client;
  if (secret !== undefined && DEFAULTS.test(secret.reveal()))
    problem(`${key}.secret`, "is a word that anybody would try: let the IdP make one");
  else if (secret !== undefined && secret.length < SHORT)
    warn(`${key}.secret`, `has less than ${SHORT} characters: a short one can be guessed; let the IdP make one`);
  const fault = privateKey === undefined ? null : readClientKey(privateKey);
  if (typeof fault === "string") problem(`${key}.privateKey`, fault);
}

function checkTime(
  { timeoutMs }: OAuthEntry,
  { key, checkTimeoutMs }: { key: string; checkTimeoutMs: number },
  { problem }: Reporter,
): void {
  if (timeoutMs < checkTimeoutMs) return;
  problem(
    `${key}.timeoutMs`,
    `${timeoutMs} must be smaller than checkTimeoutMs (${checkTimeoutMs}): else the Check ends before the answer of a slow IdP`,
  );
}
