// Which changes concern the clients of an endpoint. Pure.
import type { McpEndpoint } from "../authz/endpoint.ts";
import type { Curation } from "../mcp/curation.ts";
import type { WristbandClaims } from "../wristband/claims.ts";
import type { Audience } from "./change-notices.ts";
import { offeredKinds, type BrokerView } from "./housekeeping.ts";

export interface AudienceSources {
  readonly view: (endpoint: McpEndpoint, wristband: WristbandClaims) => BrokerView;
  readonly calls: { readonly curation: Curation };
}

/** A server of another endpoint, and one that a virtual server shows nothing of, concern nobody here. */
export function audienceOf(
  { view, calls }: AudienceSources,
  { endpoint, wristband }: { readonly endpoint: McpEndpoint; readonly wristband: WristbandClaims },
): Audience {
  const { server, virtualServer } = endpoint;
  return {
    offered: offeredKinds(view(endpoint, wristband)),
    offers: (shown, uri) => calls.curation.offers("resource", { server: shown, name: uri }, virtualServer),
    concerns: (changed) => (server === null ? calls.curation.shows(changed, virtualServer) : changed === server),
  };
}
