import type { Allowed, Credential, Identity, Wristband } from "./ports.ts";
import { refuse, type Step } from "./outcome.ts";

/** Removed from every request, whatever happens: credentials of the client that are nobody's business upstream. */
const ALWAYS_REMOVED = ["cookie", "proxy-authorization", "x-vault-token", "x-vault-namespace", "x-mcp-subject"];
const ALWAYS_MANAGED = [
  "authorization",
  "x-mcp-server",
  "x-upstream-authorization",
  "x-upstream-header",
  "mcp-session-id",
];

/** RFC 9110 §5.5 without obs-text: some data planes drop a header with anything else, silently. */
const HEADER_VALUE = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;
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

  private constructor(set: Map<string, string>, remove: string[], route: string, responseHeaders: Map<string, string>) {
    this.set = set;
    this.remove = remove;
    this.route = route;
    this.responseHeaders = responseHeaders;
  }

  static is(value: unknown): value is Grant {
    return typeof value === "object" && value !== null && #proven in value && value.#proven;
  }

  /** @internal {@link grant} is the way in. */
  static of(
    _proof: Proof,
    set: Map<string, string>,
    remove: string[],
    route: string,
    response: Map<string, string>,
  ): Grant {
    return new Grant(set, remove, route, response);
  }
}

/** What must be at hand before a request may go on. Housekeeping has no decision of policy (design 4.3). */
export interface Proof {
  readonly identity: Identity;
  readonly decision: Allowed | "housekeeping";
}

/** Where the request goes, and what it carries there. */
export type Passage =
  /** Straight to its server: the credential and nothing of ours. */
  | { readonly to: "server"; readonly server: string; readonly credential: Credential }
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

/** The only way to a {@link Grant}. Refuses with `credential_unavailable` when a value cannot be a header. */
export function grant(
  proof: Proof,
  passage: Passage,
  settings: HeaderSettings,
  response: Map<string, string>,
): Step<Grant> {
  const set = new Map<string, string>();
  if (passage.to === "server") {
    putCredential(set, passage.credential);
  } else {
    set.set(settings.wristbandHeader, passage.wristband.jws);
    if (passage.to === "relay") {
      set.set("x-mcp-server", passage.server);
      putRelayedCredential(set, passage.credential);
    }
  }
  const route = passage.to === "server" ? `server:${passage.server}` : "broker";
  if (settings.routeHeader !== null) set.set(settings.routeHeader, route);
  for (const [name, value] of set) {
    if (!HEADER_VALUE.test(value) || value.length > MAX_VALUE_BYTES) {
      return refuse("credential_unavailable", `the value for ${name} cannot be a header`);
    }
  }
  const remove = settings.managed.filter((name) => !set.has(name));
  return { ok: true, value: Grant.of(proof, set, remove, route, response) };
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
