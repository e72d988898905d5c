// The only way to an allow: a `Grant`, with the headers that Envoy sets and removes. Pure.
import type { AllowDecision, Credential, Identity, RequestHeaders, Wristband } from "./types.ts";
import { headersAmong, parameterOf, partsOf, relayHeaders } from "./credential-parts.ts";
import { CREDENTIAL_SET_HEADER } from "./credential-set.ts";
import type { Secret } from "../secret/secret.ts";
import { HEADER_VALUE } from "./header-value.ts";
import { writtenHeaders, type ClientHeaders, type ServerHeaders } from "./server-headers.ts";
import { pass, refuse, type Refused, type Step } from "./step.ts";

/** Removed from every request: credentials of the client that no server may receive. */
const ALWAYS_REMOVED = ["cookie", "proxy-authorization", "x-vault-token", "x-vault-namespace", "x-mcp-subject"];
const ALWAYS_MANAGED = [
  "authorization",
  "x-mcp-server",
  "x-upstream-authorization",
  "x-upstream-header",
  "x-upstream-more",
  CREDENTIAL_SET_HEADER,
  "mcp-session-id",
];

/** Framing, routing and request id: the data plane owns these headers, and refuses a response that changes them. */
const DATA_PLANE_HEADERS: ReadonlySet<string> = new Set([
  ...["host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade", "keep-alive"],
  ...["proxy-connection", "x-request-id", "x-forwarded-proto"], // without the last, Envoy finds no route
]);
const HEADER_NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;

export const MAX_VALUE_BYTES = 48 * 1024;

/**
 * An allow. The one value that can become status 0 on the wire: only {@link Grant.of} makes it, from a verified identity and
 * a decision that allows, and an object of the same shape has no `#proven`.
 */
export class Grant {
  readonly #proven = true;
  readonly set: ReadonlyMap<string, string>;
  readonly remove: readonly string[];
  /** `server:<name>` or `broker`: Envoy's route, sent as dynamic metadata. */
  readonly route: string;
  /** Added to the upstream's response: CORS for a listed origin. */
  readonly responseHeaders: ReadonlyMap<string, string>;
  /** The refusal that the broker tells the client; null for what is allowed. */
  readonly refused: Refused | null = null;

  private constructor(route: Route, set: ReadonlyMap<string, string>, remove: readonly string[]) {
    this.set = set;
    this.remove = remove;
    this.route = routeOf(route);
    this.responseHeaders = route.responseHeaders;
    if (route.to === "broker") this.refused = route.refused ?? null;
  }

  static is(value: unknown): value is Grant {
    return typeof value === "object" && value !== null && #proven in value && value.#proven;
  }

  /** The only way to a grant. Refuses with `credential_unavailable` when a value cannot be a header. */
  static of(_proof: Proof, route: Route, settings: HeaderSettings): Step<Grant> {
    if (route.to === "server" && partsOf(route.credential).some(({ header }) => parameterOf(header) !== null))
      return refuse("credential_unavailable", "a credential in the query does not go to a direct server");
    const set = headersOf(route, settings);
    for (const [name, value] of set) {
      if (!HEADER_VALUE.test(value) || value.length > MAX_VALUE_BYTES) {
        return refuse("credential_unavailable", `the value for ${name} cannot be a header`);
      }
    }
    const remove = settings.managed.filter((name) => !set.has(name));
    if (route.to === "server") {
      const foreign = foreignHeaders(route, new Set([...set.keys(), ...settings.managed])); // those are set or removed already
      if (!foreign.every((name) => HEADER_NAME.test(name)))
        return refuse("header_malformed", "a name that is no token");
      remove.push(...foreign);
    }
    return pass(new Grant(route, set, remove));
  }
}

/**
 * The proof that an allow needs. Housekeeping (handshake and lists) has no decision of policy: lists are filtered. What is
 * refused goes to the broker alone, which tells it.
 */
export interface Proof {
  readonly identity: Identity;
  readonly decision: AllowDecision | "housekeeping" | "refused";
}

/** Destination of a request, and the headers of its response. */
export type Route = Destination & {
  /** Added to the upstream's response: CORS for a listed origin. */
  readonly responseHeaders: ReadonlyMap<string, string>;
};

type Direct = Extract<Destination, { readonly to: "server" }>;

/** Destination of a request, and the values that it carries there. */
export type Destination =
  /** Straight to the server, with the credential and no wristband. */
  | {
      readonly to: "server";
      readonly server: string;
      readonly credential: Credential;
      /**
       * All of the client's headers. What is not in `client` is removed: beside the gateway's credential a server may take
       * `sudo`, `impersonate-user` or `x-remote-user` for an order of the gateway.
       */
      readonly received: RequestHeaders;
      readonly client: ClientHeaders;
      readonly headers: Pick<ServerHeaders, "fixed">;
      /** Of the Check's span, in place of the client's; absent for a Check that is not sampled. */
      readonly traceparent?: string | undefined;
    }
  /** A call that the broker relays. */
  | (ToBroker & { readonly to: "relay"; readonly server: string; readonly credential: Credential })
  /** A request that the broker answers itself. */
  | (ToBroker & {
      readonly to: "broker";
      /** For a stream that tells of resources: the caller's credentials for their servers. */
      readonly credentials?: Secret | null;
      /** Answered with this refusal, and nothing else. */
      readonly refused?: Refused;
    });

interface ToBroker {
  readonly wristband: Wristband;
  /** The client's `mcp-session-id`, which only the broker can open; null for none. It goes to no server. */
  readonly sessionId: string | null;
}

export interface HeaderSettings {
  /** Every header name that a grant sets or removes; see {@link managedHeaders}. */
  readonly managed: readonly string[];
  readonly wristbandHeader: string;
  readonly routeHeader: string | null;
}

/** Lists every header that each grant either sets or removes. */
export function managedHeaders(
  wristbandHeader: string,
  routeHeader: string | null,
  credentialHeaders: Iterable<string>,
): string[] {
  const own = [wristbandHeader, ...(routeHeader === null ? [] : [routeHeader])];
  return [...new Set([...ALWAYS_MANAGED, ...own, ...headersAmong(credentialHeaders), ...ALWAYS_REMOVED])].sort();
}

/** The client's headers that do not reach the server of a direct call. */
function foreignHeaders({ received, client }: Direct, known: ReadonlySet<string>): string[] {
  const passing = [known, writtenHeaders(received), client.protocol, client.passed, DATA_PLANE_HEADERS];
  return [...received.names()].filter((name) => !name.startsWith(":") && !passing.some((names) => names.has(name)));
}

function routeOf(destination: Destination): string {
  return destination.to === "server" ? `server:${destination.server}` : "broker";
}

function headersOf(destination: Destination, settings: HeaderSettings): Map<string, string> {
  const set = new Map<string, string>();
  if (destination.to === "server") {
    putWritten(set, destination.received);
    if (destination.traceparent !== undefined) set.set("traceparent", destination.traceparent);
    for (const [name, value] of destination.headers.fixed) set.set(name, value);
    putCredential(set, destination.credential);
  } else {
    set.set(settings.wristbandHeader, destination.wristband.jws);
    if (destination.sessionId !== null) set.set("mcp-session-id", destination.sessionId);
    if (destination.to === "relay") {
      set.set("x-mcp-server", destination.server);
      for (const [name, value] of relayHeaders(destination.credential)) set.set(name, value);
    } else if (destination.credentials != null) set.set(CREDENTIAL_SET_HEADER, destination.credentials.reveal());
  }
  if (settings.routeHeader !== null) set.set(settings.routeHeader, routeOf(destination));
  return set;
}

/** A value that the client has sent in this very form stays. */
function putWritten(set: Map<string, string>, received: RequestHeaders): void {
  for (const [name, value] of writtenHeaders(received)) if (received.get(name) !== value) set.set(name, value);
}

function putCredential(set: Map<string, string>, credential: Credential): void {
  for (const { header, value } of partsOf(credential)) set.set(header, value.reveal());
}
