import type { Allowed, Credential, Identity, Wristband } from "./types.ts";
import { pass, refuse, type Step } from "./step.ts";

/** Removed from every request, whatever happens: credentials of the client that are nobody's business upstream. */
const ALWAYS_REMOVED = ["cookie", "proxy-authorization", "x-vault-token", "x-vault-namespace", "x-mcp-subject"];
const ALWAYS_MANAGED = [
  "authorization",
  "x-mcp-server",
  "x-upstream-authorization",
  "x-upstream-header",
  "mcp-session-id",
];

/** What a server gets of the client's request besides its credential, by the broker (relay-call.ts) and straight. */
const PASSES_TO_SERVER: ReadonlySet<string> = new Set(["accept", "content-type", "traceparent", "tracestate"]);
/** Framing, routing and the request's own id: the data plane makes these, and refuses an answer that touches them. */
const OF_THE_DATA_PLANE: ReadonlySet<string> = new Set([
  ...["host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade", "keep-alive"],
  ...["proxy-connection", "x-request-id", "x-forwarded-proto"], // without the last, Envoy finds no route
]);
const HEADER_NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;

/** RFC 9110 §5.5 without obs-text: some data planes drop a header with anything else, silently. */
export const HEADER_VALUE = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;
const MAX_VALUE_BYTES = 48 * 1024;

/**
 * Leave to go on. The one value that can become status 0 on the wire: it is made here only, out of a verified identity
 * and a decision that allows, and `#proven` cannot be forged by a look-alike object.
 */
export class Grant {
  readonly #proven = true;
  readonly set: ReadonlyMap<string, string>;
  readonly remove: readonly string[];
  /** `server:<name>` or `broker`: the route that Envoy takes (dynamic metadata, design 3). */
  readonly route: string;
  /** Added to the upstream's response: CORS for a listed origin. */
  readonly responseHeaders: ReadonlyMap<string, string>;

  private constructor(passage: Passage, set: ReadonlyMap<string, string>, remove: readonly string[]) {
    this.set = set;
    this.remove = remove;
    this.route = routeOf(passage);
    this.responseHeaders = passage.responseHeaders;
  }

  static is(value: unknown): value is Grant {
    return typeof value === "object" && value !== null && #proven in value && value.#proven;
  }

  /** The only way to a grant. Refuses with `credential_unavailable` when a value cannot be a header. */
  static of(_proof: Proof, passage: Passage, settings: HeaderSettings): Step<Grant> {
    const set = headersOf(passage, settings);
    for (const [name, value] of set) {
      if (!HEADER_VALUE.test(value) || value.length > MAX_VALUE_BYTES) {
        return refuse("credential_unavailable", `the value for ${name} cannot be a header`);
      }
    }
    const remove = settings.managed.filter((name) => !set.has(name));
    if (passage.to === "server") {
      for (const name of passage.received) {
        if (passesToServer(name) || set.has(name) || settings.managed.includes(name)) continue;
        if (!HEADER_NAME.test(name)) return refuse("header_malformed", "a name that is no token");
        remove.push(name);
      }
    }
    return pass(new Grant(passage, set, remove));
  }
}

/** What must be at hand before a request may go on. Housekeeping has no decision of policy (design 4.3). */
export interface Proof {
  readonly identity: Identity;
  readonly decision: Allowed | "housekeeping";
}

/** Where the request goes, what it carries there, and what its answer carries back. */
export type Passage = Destination & {
  /** Added to the upstream's response: CORS for a listed origin. */
  readonly responseHeaders: ReadonlyMap<string, string>;
};

/** Where the request goes, and what it carries there. */
export type Destination =
  /** Straight to its server: the credential and nothing of ours. */
  | {
      readonly to: "server";
      readonly server: string;
      readonly credential: Credential;
      /**
       * The names of the client's headers, each once. What does not pass is removed: beside the gateway's credential a
       * server may read `sudo`, `impersonate-user` or `x-remote-user` as an order of the gateway's.
       */
      readonly received: Iterable<string>;
    }
  /** A call that the broker relays. */
  | { readonly to: "relay"; readonly server: string; readonly credential: Credential; readonly wristband: Wristband }
  /** What the broker answers itself. */
  | { readonly to: "broker"; readonly wristband: Wristband };

export interface HeaderSettings {
  /** Every name that we write or remove; see {@link managedHeaders}. */
  readonly managed: readonly string[];
  readonly wristbandHeader: string;
  readonly routeHeader: string | null;
}

/** Every header that is either set or removed in each grant (design 4.5). */
export function managedHeaders(
  wristbandHeader: string,
  routeHeader: string | null,
  credentialHeaders: Iterable<string>,
): string[] {
  const own = [wristbandHeader, ...(routeHeader === null ? [] : [routeHeader])];
  return [...new Set([...ALWAYS_MANAGED, ...own, ...credentialHeaders, ...ALWAYS_REMOVED])].sort();
}

function passesToServer(name: string): boolean {
  return PASSES_TO_SERVER.has(name) || name.startsWith("mcp-") || name.startsWith(":") || OF_THE_DATA_PLANE.has(name);
}

function routeOf(destination: Destination): string {
  return destination.to === "server" ? `server:${destination.server}` : "broker";
}

function headersOf(destination: Destination, settings: HeaderSettings): Map<string, string> {
  const set = new Map<string, string>();
  if (destination.to === "server") {
    putCredential(set, destination.credential);
  } else {
    set.set(settings.wristbandHeader, destination.wristband.jws);
    if (destination.to === "relay") {
      set.set("x-mcp-server", destination.server);
      putRelayedCredential(set, destination.credential);
    }
  }
  if (settings.routeHeader !== null) set.set(settings.routeHeader, routeOf(destination));
  return set;
}

/** The broker puts the value into the header of its kind; the name goes along unless it is the usual one. */
function putRelayedCredential(set: Map<string, string>, { header, value }: Credential): void {
  if (value === null) return;
  set.set("x-upstream-authorization", value.reveal());
  if (header !== "authorization") set.set("x-upstream-header", header);
}

function putCredential(set: Map<string, string>, credential: Credential): void {
  if (credential.value !== null) set.set(credential.header, credential.value.reveal());
}
