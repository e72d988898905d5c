// Composes the sources of assertions from the configuration. Pure but for the keys, which are passed in.
import { issuerAliases } from "../../config/callers.ts";
import type { Config } from "../../config/load.ts";
import { assertionSource } from "../../credential/assertion.ts";
import type { CredentialSource } from "../../credential/source.ts";
import { signCompactJws } from "../../jose/sign-compact.ts";
import type { SigningKey } from "../../wristband/keys.ts";

type AssertionConfig = Extract<Config["servers"][string]["credential"][number], { kind: "assertion" }>;

/** @param keys the current ones; the first signs. @throws {Error} that names the key at fault */
export function assertionSourceOf(
  config: Pick<Config, "assertions" | "identity" | "servers">,
  entry: AssertionConfig & { readonly server: string },
  keys: () => readonly SigningKey[],
): CredentialSource {
  const { server, audience, ...options } = entry;
  const { issuer } = config.assertions ?? {};
  if (issuer === undefined) throw new Error(`servers.${server}.credential: assertions is not set up`);
  const aliases = issuerAliases(config);
  return assertionSource(
    { ...options, issuer, audience: audience ?? config.servers[server]?.url ?? "" },
    {
      sign(claims) {
        const [key] = keys();
        if (key === undefined) throw new Error("no assertion key");
        return signCompactJws({ alg: "ES256", typ: "JWT", kid: key.kid }, claims, key.privateKey);
      },
      aliasOf: (of) => aliases.get(of) ?? null,
      now: Date.now,
    },
  );
}
