// The only way to an allow: a `Grant`, with the headers that Envoy sets and removes. Pure.
import type { AllowDecision, BoundCredential, Identity, RequestHeaders, Wristband } from "./types.ts";
import { headersAmong, parameterOf, partsOf, relayHeaders } from "./credential-parts.ts";
import { CREDENTIAL_SET_HEADER } from "./credential-set.ts";
import type { Secret } from "../secret/secret.ts";
import { directRoute } from "./destination.ts";
import { HEADER_VALUE } from "./header-value.ts";
import type { HeaderLines, HostAllow, QueryChange } from "./host-decision.ts";
import type { JsonObject } from "../json/types.ts";
import { isWritten, writtenHeaders, type ClientHeaders, type ServerHeaders } from "./server-headers.ts";
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
  /** What `remove` begins with: the same list for all grants that set the same headers, so that its bytes can be kept. */
  readonly shared: readonly string[];
  /** `server:<name>:<destination>`, `broker` or `host`: Envoy's route, sent as dynamic metadata. */
  readonly route: string;
  /** Added to the upstream's response: CORS for a listed origin, or what the policy of the host's paths says. */
  readonly responseHeaders: HeaderMap;
  /** For a path of the host: changes of the query. */
  readonly query: QueryChange | null = null;
  /** For a path of the host: what its policy says to the data plane, beside our own. */
  readonly metadata: JsonObject | null = null;
  /** The refusal that the broker tells the client; null for what is allowed. */
  readonly refused: Refused | null = null;

  private constructor(
    route: Route | HostRoute,
    set: ReadonlyMap<string, string>,
    { shared, more }: { readonly shared: readonly string[]; readonly more: readonly string[] },
  ) {
    this.set = set;
    this.shared = shared;
    this.remove = more.length === 0 ? shared : [...shared, ...more];
    this.route = routeOf(route);
    this.responseHeaders = route.responseHeaders;
    if (route.to === "broker") this.refused = route.refused ?? null;
    if (route.to === "host") {
      this.query = route.query;
      this.metadata = route.metadata;
    }
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
    const more: string[] = [];
    if (route.to === "server")
      for (const name of route.received.names()) {
        if (set.has(name) || settings.managed.has(name) || reachesServer(name, route)) continue;
        if (!HEADER_NAME.test(name)) return refuse("header_malformed", "a name that is no token");
        more.push(name);
      }
    return pass(new Grant(route, set, { shared: removals(settings.managed, set), more }));
  }

  /**
   * The only way to a grant for a path of the host: the proof is the decision itself. Refuses with `policy_unavailable` what
   * policy may not write: the gateway's own headers, those of the data plane, and what no header can carry.
   * @param passes managed headers of the client's that this request may keep
   */
  static forHost(decision: HostAllow, passes: ReadonlySet<string>, settings: HeaderSettings): Step<Grant> {
    const fault = hostFault(decision, settings.managed);
    if (fault !== null) return refuse("policy_unavailable", fault);
    const removed = new Set(decision.remove);
    // A name that is both is removed, as Envoy does it.
    const set = new Map([...joined(decision.headers)].filter(([name]) => !removed.has(name)));
    if (settings.routeHeader !== null) set.set(settings.routeHeader, HOST);
    const own = [...settings.managed].filter((name) => !passes.has(name) && !set.has(name));
    const { query, metadata } = decision;
    const route: HostRoute = { to: HOST, responseHeaders: joined(decision.responseHeaders), query, metadata };
    return pass(new Grant(route, set, { shared: [], more: [...new Set([...own, ...removed])] }));
  }
}

/** By the managed names: the lists of those that are not set, by those that are. */
const REMOVALS = new WeakMap<ReadonlySet<string>, Map<string, readonly string[]>>();

/** The managed names that a grant does not set. There are as many lists as ways to set some of them: the configuration's few. */
function removals(managed: ReadonlySet<string>, set: ReadonlyMap<string, string>): readonly string[] {
  let lists = REMOVALS.get(managed);
  if (lists === undefined) REMOVALS.set(managed, (lists = new Map<string, readonly string[]>()));
  let key = "";
  for (const name of set.keys()) if (managed.has(name)) key += `${name},`;
  let list = lists.get(key);
  if (list === undefined) lists.set(key, (list = Object.freeze([...managed].filter((name) => !set.has(name)))));
  return list;
}

const HOST = "host";

/** Several values of one name as one (RFC 9110 §5.3). */
function joined(lines: HeaderLines): Map<string, string> {
  return new Map(Array.from(lines, ([name, values]) => [name, values.join(", ")]));
}

/** What is wrong with what policy writes; null for nothing. A name of the policy's is no secret. */
function hostFault(decision: HostAllow, managed: ReadonlySet<string>): string | null {
  for (const [lines, isResponse] of [
    [decision.headers, false],
    [decision.responseHeaders, true],
  ] as const)
    for (const [name, values] of lines) {
      if (isForeignTo(name, managed)) return `policy may not write the header ${name}`;
      if (isResponse && name === "set-cookie" && values.length > 1) return "policy writes several set-cookie";
      if (values.join(", ").length > MAX_VALUE_BYTES) return `policy writes too much into the header ${name}`;
    }
  const kept = decision.remove.find((name) => DATA_PLANE_HEADERS.has(name) || name.startsWith(":"));
  return kept === undefined ? null : `policy may not remove the header ${kept}`;
}

/** Names that are ours, the data plane's, or read as one of ours by a server that takes "_" for "-" (threat model: C02). */
function isForeignTo(name: string, managed: ReadonlySet<string>): boolean {
  const meant = name.replaceAll("_", "-");
  return (
    [managed, DATA_PLANE_HEADERS].some((names) => names.has(name) || names.has(meant)) ||
    name.startsWith(":") ||
    meant.startsWith("x-envoy-")
  );
}

/** A path of the host, to a server that knows nothing of callers: no credential and no wristband goes there. */
interface HostRoute {
  readonly to: "host";
  readonly responseHeaders: HeaderMap;
  readonly query: QueryChange;
  readonly metadata: JsonObject;
}

type HeaderMap = ReadonlyMap<string, string>;

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
      readonly credential: BoundCredential;
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
  | (ToBroker & { readonly to: "relay"; readonly server: string; readonly credential: BoundCredential })
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
  readonly managed: ReadonlySet<string>;
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

/** True for a header of the client's that reaches the server of a direct call. */
function reachesServer(name: string, { client: { protocol, passed } }: Direct): boolean {
  return (
    name.startsWith(":") || isWritten(name) || protocol.has(name) || passed.has(name) || DATA_PLANE_HEADERS.has(name)
  );
}

function routeOf(destination: Destination | HostRoute): string {
  if (destination.to === HOST) return HOST;
  return destination.to === "server" ? directRoute(destination.server, destination.credential.destination) : "broker";
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

function putCredential(set: Map<string, string>, credential: BoundCredential): void {
  for (const { header, value } of partsOf(credential)) set.set(header, value.reveal());
}
