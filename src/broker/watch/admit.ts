// Admits the resources of a stream of `subscriptions/listen`: proves once more that its wristband names each. Pure.
import { CREDENTIAL_SET_HEADER, decodeCredentials } from "../../authz/credential-set.ts";
import { pass, refuse, type Step } from "../../authz/step.ts";
import { bodyDigest, namesOf } from "../../wristband/claims.ts";
import { ELSEWHERE, isMeantFor, reachedBy, single, type AdmitCallOptions, type IncomingCall } from "../relay/admit.ts";
import type { Watched } from "./watched.ts";

/** True for a request that names resources one by one. */
export function isWatching({ watched }: IncomingCall["operation"]): boolean {
  return watched !== undefined && watched.uris.length > 0;
}

/**
 * Trusts the sender in nothing: each resource is resolved here, must be offered and must stand in the wristband of this one body. One
 * that does not, or whose server has no usable credential, is left out as if it were not there.
 */
export function admitWatched(options: AdmitCallOptions, incoming: IncomingCall): Step<readonly Watched[]> {
  const { wristband, body, headers } = incoming;
  if (wristband.use !== "listen") return refuse("wristband_invalid", "another use");
  if (wristband.body !== bodyDigest(body)) return refuse("wristband_invalid", "another body");
  const set = single(headers[CREDENTIAL_SET_HEADER]);
  const credentials = set === null ? null : decodeCredentials(set);
  const allowed = [...allowedOf(options, incoming)];
  // Asked for again, it comes with all: a change of the configuration ends these streams, and clients come back at once.
  const isElsewhere = ([server]: (typeof allowed)[number]) => {
    const upstream = options.upstreams.get(server);
    return upstream !== undefined && credentials?.has(server) === true && !isMeantFor(wristband, upstream);
  };
  if (allowed.some(isElsewhere)) return ELSEWHERE;
  const watched = allowed.flatMap(([server, uris]) => {
    const upstream = options.upstreams.get(server);
    const own = credentials?.get(server);
    const reached = upstream === undefined || own === undefined ? null : reachedBy(upstream, incoming, own);
    return reached?.ok === true ? [{ ...reached.value, uris }] : [];
  });
  return pass(watched);
}

/** The shown URI of each own one, by server. */
function allowedOf({ resolver, curation }: AdmitCallOptions, incoming: IncomingCall): Map<string, Map<string, string>> {
  const { endpoint, operation, wristband } = incoming;
  const allowed = new Map<string, Map<string, string>>();
  for (const uri of operation.watched?.uris ?? []) {
    const target = resolver.resolveAt(endpoint.server, "resource", uri);
    if (target === null || !curation.offers("resource", target, endpoint.virtualServer)) continue;
    if (!namesOf(wristband, "resources", target.server).includes(target.name)) continue;
    const uris = allowed.get(target.server) ?? new Map<string, string>();
    allowed.set(target.server, uris.set(target.name, uri));
  }
  return allowed;
}
