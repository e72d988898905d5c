// Who a caller is, by what it presents, and which servers it may reach. Pure: what verifies is behind the ports.
import type { McpEndpoint } from "./endpoint.ts";
import type { Presented } from "./presented.ts";
import type { Ports } from "./ports.ts";
import { refuse, type Step } from "./step.ts";
import type { AuthzRequest, Identity, TokenUse, Visible } from "./types.ts";

/** What is presented, how a token of it is used, and the request that brings it. */
export interface CallerClaim {
  readonly presented: Presented;
  readonly use: TokenUse;
  readonly endpoint: Pick<McpEndpoint, "server">;
  readonly request: Pick<AuthzRequest, "peer" | "principal">;
}

/** Identifies the caller. A bearer text that is no key is an access token. */
export function identifyCaller(
  ports: Pick<Ports, "identify" | "identifyKey" | "identifyTokenless">,
  { presented, use, endpoint: { server }, request: { peer, principal = "" } }: CallerClaim,
  signal: AbortSignal,
): Step<Identity> | Promise<Step<Identity>> {
  if (presented.by === "nothing")
    return ports.identifyTokenless?.({ by: "nothing", server, peer, source: use.source }) ?? refuse("token_missing");
  if (presented.by === "proxy")
    return ports.identifyTokenless?.({ ...presented, principal }) ?? refuse("token_invalid", "no proxy is trusted");
  if (presented.by === "dpop") return ports.identify(presented.token, use, signal);
  return identifyKeyOrToken(ports, [presented, use], signal);
}

function identifyKeyOrToken(
  ports: Pick<Ports, "identify" | "identifyKey">,
  [presented, use]: readonly [Extract<Presented, { by: "bearer" | "key" | "basic" }>, TokenUse],
  signal: AbortSignal,
): Step<Identity> | Promise<Step<Identity>> {
  const isBearer = presented.by === "bearer";
  const key = ports.identifyKey?.(isBearer ? { by: "bearer", key: presented.token } : presented) ?? null;
  if (key !== null) return key;
  return isBearer ? ports.identify(presented.token, use, signal) : refuse("token_invalid", "the key is unknown");
}

/** How a token is used: with a proof, of this request to its public URL. */
export function tokenUse(
  {
    request,
    publicOrigin,
    source,
  }: {
    readonly request: Pick<AuthzRequest, "method" | "path">;
    readonly publicOrigin: string;
    readonly source: string;
  },
  { resource, namedResource = null }: Pick<McpEndpoint, "resource" | "namedResource">,
  presented: Presented,
): TokenUse {
  const use = { resource, namedResource, source };
  if (presented.by !== "dpop") return use;
  return { ...use, proof: { proof: presented.proof, method: request.method, url: publicOrigin + request.path } };
}

/** True if what the caller presented opens this server. */
export function opens(identity: Identity, server: string): boolean {
  return identity.method === "jwt" || identity.opens === null || identity.opens.has(server);
}

/** Refuses a caller at the endpoint of a server that its key does not open, whatever is asked there. */
export function admitTo({ server }: McpEndpoint, identity: Identity): Step<Identity> {
  if (server === null || opens(identity, server)) return { ok: true, value: identity };
  // At an endpoint that it does not open, a key is no credential: another one may be (TB-01).
  const reason = identity.method === "api_key" ? "token_invalid" : "policy_denied";
  return { ...refuse(reason, "the caller may not reach this server"), caller: identity };
}

/** The names on servers that are open. */
export function openNames(isOpen: (server: string) => boolean, names: Visible): Visible {
  const of = (lists: Visible["tools"]) => {
    const all = Object.entries(lists);
    const open = all.filter(([server]) => isOpen(server));
    return open.length === all.length ? lists : Object.fromEntries(open);
  };
  return { tools: of(names.tools), prompts: of(names.prompts), resources: of(names.resources) };
}
