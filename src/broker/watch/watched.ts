// The resources of one server that a stream may tell of. Types only.
import type { Upstream, UpstreamCredential } from "../upstream/upstream.ts";

export interface Watched {
  readonly upstream: Upstream;
  readonly credential: UpstreamCredential | null;
  /** The server's own URIs, with those of the endpoint. */
  readonly uris: ReadonlyMap<string, string>;
}
