// Callers whom another party has verified, by the rules of a configuration. Pure.
import type { AboutOthers } from "../../authzen/evaluate.ts";
import type { Config } from "../../config/load.ts";
import { createVouched, type VouchedDeps } from "../../identity/vouched.ts";
import type { Suspensions } from "../../ops/supervisor/suspensions.ts";

/** What a configuration says of callers whom another party has verified. */
export function aboutOthers(
  { identity, servers, publicOrigin }: Config,
  { suspensions, ...deps }: Omit<VouchedDeps, "issuers"> & { readonly suspensions: Pick<Suspensions, "refusal"> },
): AboutOthers {
  const vouched = createVouched({ ...deps, issuers: identity.issuers });
  return {
    vouched({ id, ...said }, resources) {
      const identified = vouched({ subject: id, ...said }, resources);
      return identified.ok ? (suspensions.refusal(identified.value) ?? identified) : identified;
    },
    wantsCredential: (server) =>
      (servers[server]?.credential ?? []).every((entry) => entry.kind !== "exchange" && !isAsCaller(entry)),
    host: new URL(publicOrigin).hostname,
  };
}

/** An entry that Vault shows to the caller's own token alone. */
function isAsCaller(entry: Config["servers"][string]["credential"][number]): boolean {
  return entry.kind === "vault" && entry.asCaller;
}
