import type { Config } from "../config.ts";
import { noneSource } from "../credential/none.ts";
import type { CredentialSource } from "../credential/source.ts";
import { staticSource } from "../credential/static.ts";

/** The kinds of credential, one row each. */
export function credentialChains(config: Config): Map<string, CredentialSource[]> {
  const source = (entry: Config["servers"][string]["credential"][number], key: string): CredentialSource => {
    if (entry.kind === "static") return staticSource(entry);
    if (entry.kind === "none") return noneSource();
    throw new Error(`${key}: the kind ${entry.kind} is not supported by this version; use static or none`);
  };
  return new Map(
    Object.entries(config.servers).map(([name, server]) => [
      name,
      server.credential.map((entry, i) => source(entry, `servers.${name}.credential[${i}]`)),
    ]),
  );
}
