import type { IncomingMessage } from "node:http";
import type { Endpoint } from "../../authz/endpoint.ts";
import { pass, refuse, type Refused, type Step } from "../../authz/step.ts";
import { Secret } from "../../secret/secret.ts";
import type { Operation } from "../../mcp/operation.ts";
import type { Resolver, Target } from "../../mcp/resolver.ts";
import { bodyDigest, namesExactly, type WristbandClaims } from "../../wristband/claims.ts";
import type { Upstream, UpstreamCredential, Upstreams } from "../upstream/upstream.ts";

/** A call that may be carried: proven by its wristband, and for this server. */
export interface RelayCall {
  readonly upstream: Upstream;
  readonly operation: Operation;
  /** The name as its server knows it. */
  readonly name: string;
  readonly body: Buffer;
  readonly credential: UpstreamCredential | null;
  readonly wristband: WristbandClaims;
  /** Headers of the client that go on as they came. */
  readonly forwarded: Readonly<Record<string, string>>;
}

export interface AdmitCallOptions {
  readonly resolver: Resolver;
  readonly upstreams: Upstreams;
}

export interface Arrived {
  readonly endpoint: Extract<Endpoint, { kind: "mcp" }>;
  readonly operation: Operation;
  readonly body: Buffer;
  readonly wristband: WristbandClaims;
  readonly headers: IncomingMessage["headersDistinct"];
}

/** RFC 9110 §5.5 without obs-text: what goes on as a header. */
const HEADER_VALUE = /^[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?$/;
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;
/** Written anew for each hop, or ours alone. */
const OWN_MCP_HEADERS = new Set(["mcp-session-id", "mcp-protocol-version", "mcp-method", "mcp-name"]);

/**
 * Proves a named operation once more, without trust in who sent it: the server is found here and must be the one that
 * serve named, and the wristband must name this one operation and nothing else. A list's wristband calls nothing.
 */
export function admitCall({ resolver, upstreams }: AdmitCallOptions, arrived: Arrived): Step<RelayCall> {
  const { operation, body, wristband, headers } = arrived;
  const target = targetOf(resolver, arrived);
  const upstream = target === null ? undefined : upstreams.get(target.server);
  if (target === null || upstream === undefined) return refuse("wristband_invalid", "no server");
  if (single(headers["x-mcp-server"]) !== target.server) return refuse("wristband_invalid", "another server");
  if (wristband.use !== "call" || !namesExactly(wristband, operation.kind, target))
    return refuse("wristband_invalid", "another operation");
  if (bodyDigest(body) !== wristband.body) return refuse("wristband_invalid", "another body");
  const credential = credentialOf(upstream, headers);
  if (!credential.ok) return credential;
  const forwarded = forwardedHeaders(headers);
  if (!forwarded.ok) return forwarded;
  return pass({
    upstream,
    operation,
    name: target.name,
    body,
    credential: credential.value,
    wristband,
    forwarded: forwarded.value,
  });
}

/** On the merged endpoint only tools have a server: by their prefix. */
function targetOf(resolver: Resolver, { endpoint, operation }: Arrived): Target | null {
  if (operation.name === null) return null;
  if (endpoint.server !== null) return { server: endpoint.server, name: operation.name };
  return operation.kind === "tool" ? resolver.resolve(operation.name) : null;
}

/** A header that came once; null for none or several. */
function single(copies: readonly string[] | undefined): string | null {
  return copies?.length === 1 ? (copies[0] ?? null) : null;
}

/** The value that serve fetched, for a header that this server's chain fills. */
function credentialOf(upstream: Upstream, headers: Arrived["headers"]): Step<UpstreamCredential | null> {
  const values = headers["x-upstream-authorization"];
  const names = headers["x-upstream-header"];
  if (values === undefined && names === undefined) return upstream.needsCredential ? unusable("none came") : pass(null);
  const value = single(values);
  const header = names === undefined ? "authorization" : single(names);
  if (value === null || header === null) return unusable("not once");
  if (!upstream.credentialHeaders.has(header)) return unusable("a header that the chain does not fill");
  return HEADER_VALUE.test(value) ? pass({ header, value: new Secret(value) }) : unusable("not a header value");
}

function unusable(detail: string): Refused {
  return refuse("credential_unavailable", detail);
}

/** `mcp-*` and the trace (design 4.5); nothing else of the client reaches a server. */
function forwardedHeaders(headers: Arrived["headers"]): Step<Record<string, string>> {
  const forwarded: Record<string, string> = {};
  for (const [name, copies] of Object.entries(headers)) {
    if (!name.startsWith("mcp-") || OWN_MCP_HEADERS.has(name)) continue;
    const value = single(copies);
    if (value === null || !HEADER_VALUE.test(value)) return refuse("header_malformed", "mcp-*");
    forwarded[name] = value;
  }
  const trace = single(headers["traceparent"]);
  if (trace !== null && TRACEPARENT.test(trace)) forwarded["traceparent"] = trace;
  return pass(forwarded);
}
