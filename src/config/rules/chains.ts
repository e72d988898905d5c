// Rules of credential chains: an entry that nobody reaches, a path that looks for nothing. A chain must not widen in silence. Pure.
import { issuerAliases } from "../callers.ts";
import type { Reporter } from "../problem.ts";
import type { Config, CredentialConfig } from "../schema.ts";

export function checkChains(config: Config, { warn }: Reporter): void {
  for (const [name, { credential }] of Object.entries(config.servers)) {
    const last = credential.findIndex((entry) => isNeverNone(config, entry));
    credential.forEach((entry, i) => {
      const key = `servers.${name}.credential[${i}]`;
      if (last !== -1 && i > last)
        warn(
          key,
          `is never reached: ${credential[last]?.kind ?? ""} before it never has none. Change the order, or take it out`,
        );
      if (entry.kind === "vault" && entry.dynamic === null)
        for (const [at, fault] of slipsOf(entry)) warn(`${key}.vault.${at}`, fault);
    });
  }
}

/** True for a kind that finds a credential for everybody, or ends the chain. */
function isNeverNone(config: Config, entry: CredentialConfig): boolean {
  if (entry.kind === "vault") return entry.dynamic !== null;
  return entry.kind !== "exchange" || issuerAliases(config).size === 1;
}

type VaultConfig = Extract<CredentialConfig, { kind: "vault" }>;

/** Paths of Vault's API in place of those of its command: all of them read as *has none*, and the next kind serves everybody. */
function slipsOf({ mount, path }: VaultConfig): (readonly ["mount" | "path", string])[] {
  const slips: (readonly ["mount" | "path", string])[] = [];
  const [first = ""] = path.split("/");
  if (/^(?:data|metadata)$/.test(first))
    slips.push([
      "path",
      `begins with ${first}/, which the API puts there by itself: as it is, ${mount}/data/${path} is read`,
    ]);
  if (/\/(?:data|metadata)$/.test(mount))
    slips.push(["mount", "ends with what the API puts behind a mount: leave it out"]);
  return slips;
}
