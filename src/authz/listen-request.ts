// Judges what a stream of `subscriptions/listen` names: each resource as `resources/subscribe` of an older client is judged, by
// the same steps. What is refused is left out, as if it were not there. Pure.
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Operation } from "../mcp/operation.ts";
import { faultOfUri } from "../mcp/uri.ts";
import { MAX_URI } from "../mcp/merged-names.ts";
import { encodeCredentials, type CredentialSet } from "./credential-set.ts";
import { pass, refuse, type Step } from "./step.ts";
import { offeredTarget, resolveTarget, type Target, type TargetSettings } from "./target.ts";
import type { McpEndpoint } from "./endpoint.ts";
import type { BoundCredential, Decision, Destinations, Visible } from "./types.ts";

/** What may be watched, and the credentials for its servers. */
export interface Watchable {
  readonly names: Visible;
  readonly credentials: CredentialSet["header"];
  readonly destinations: Destinations;
  /** The revision of the policy that decided; null if it was not asked. */
  readonly policy: string | null;
  /** For the audit line. */
  readonly note: string;
}

export interface JudgeOptions extends TargetSettings {
  /** False for a server that the caller's key does not open. */
  readonly opens: (server: string) => boolean;
  /** Asks policy about one operation of this caller. */
  readonly decide: (target: Target) => Step<Decision>;
  /** The caller's credential for a server. */
  readonly fetchCredential: (server: string) => Promise<Step<BoundCredential>>;
  readonly signal: AbortSignal;
}

/** True for a stream whose client names resources that she wants to hear of. */
export function isWatching({ watched }: Pick<Operation, "watched">): boolean {
  return watched !== undefined && watched.uris.length > 0;
}

/** Servers of one stream: each takes a credential, and a connection of the broker. */
const MAX_SERVERS = 16;
/** Bytes of the names: a wristband of 32 KiB has room for them. */
const MAX_NAME_BYTES = 16 * 1024;
/** Decisions before other Checks have a turn. */
const PER_TURN = 8;

/** Refuses with `deadline` if time ends, and where policy is not available; a name that is refused is only left out. */
export async function judgeWatched(
  options: JudgeOptions,
  endpoint: McpEndpoint,
  { watched, version }: Pick<Operation, "watched" | "version">,
): Promise<Step<Watchable>> {
  const uris = watched?.uris ?? [];
  const judged = await allowedOf(options, endpoint, { uris, version });
  if (!judged.ok) return judged;
  const { allowed, policy } = judged.value;
  const credentials = await credentialsOf(options, [...allowed.keys()]);
  const resources = [...allowed].filter(([server]) => credentials.servers.has(server));
  const kept = resources.reduce((sum, [, names]) => sum + names.length, 0);
  return pass({
    names: { tools: {}, prompts: {}, resources: Object.fromEntries(resources) },
    credentials: credentials.header,
    destinations: credentials.destinations,
    policy,
    note: `watches ${kept} of ${uris.length} resources`,
  });
}

interface Allowed {
  /** Own URIs by server. */
  readonly allowed: ReadonlyMap<string, string[]>;
  readonly policy: string | null;
}

async function allowedOf(
  options: JudgeOptions,
  endpoint: McpEndpoint,
  { uris, version }: { readonly uris: readonly string[]; readonly version: string },
): Promise<Step<Allowed>> {
  const allowed = new Map<string, string[]>();
  let policy: string | null = null;
  let bytes = 0;
  for (const [i, uri] of uris.entries()) {
    if (i % PER_TURN === PER_TURN - 1) await nextTurn();
    if (options.signal.aborted) return refuse("deadline", "while the resources were judged");
    const judged = judge(options, endpoint, { uri, version });
    if (!judged.ok) return judged;
    if (judged.value === null) continue;
    policy ??= judged.value.policy;
    // Where another policy went live meanwhile, this stream will end at once.
    const own = judged.value.policy === policy ? judged.value.own : null;
    bytes += own === null ? 0 : Buffer.byteLength(JSON.stringify([own.server, own.name]));
    if (own !== null && bytes <= MAX_NAME_BYTES) add(allowed, own);
  }
  return pass({ allowed, policy });
}

function add(allowed: Map<string, string[]>, { server, name }: Own): void {
  const names = allowed.get(server);
  if (names !== undefined) names.push(name);
  else if (allowed.size < MAX_SERVERS) allowed.set(server, [name]);
}

interface Own {
  readonly server: string;
  readonly name: string;
}

/** What policy says of one resource; `own` is null for one that it denies. Null for one about which it is not asked. */
function judge(
  options: JudgeOptions,
  endpoint: McpEndpoint,
  asked: { readonly uri: string; readonly version: string },
): Step<{ readonly policy: string; readonly own: Own | null } | null> {
  const target = targetOf(options, endpoint, asked);
  if (!target.ok) return pass(null);
  const { server, name } = target.value;
  if (server === null || !options.opens(server)) return pass(null);
  const decision = options.decide(target.value);
  if (!decision.ok) return decision;
  const isAllowed = decision.value.allow && name !== null;
  return pass({ policy: decision.value.revision, own: isAllowed ? { server, name } : null });
}

/** The resource as `resources/subscribe` names it. */
function targetOf(
  options: TargetSettings,
  endpoint: McpEndpoint,
  { uri, version }: { readonly uri: string; readonly version: string },
): Step<Target> {
  if (uri.length > MAX_URI || faultOfUri(uri) !== null) return refuse("params_invalid", "uri");
  const subscribe = { class: "named", method: "resources/subscribe", kind: "resource", name: uri } as const;
  const target = resolveTarget(options, endpoint, { ...subscribe, version, arguments: {} });
  return target.ok ? offeredTarget(options, endpoint, target.value) : target;
}

interface BoundSet extends CredentialSet {
  readonly destinations: Destinations;
}

/** Those that the caller has: a server without is left out, and so is one whose credential cannot be had now. */
async function credentialsOf({ fetchCredential }: JudgeOptions, servers: readonly string[]): Promise<BoundSet> {
  const fetched = await Promise.all(servers.map(async (server) => [server, await fetchCredential(server)] as const));
  const found = fetched.flatMap(([server, step]) => (step.ok ? [[server, step.value] as const] : []));
  const set = encodeCredentials(new Map(found));
  const sent = found.filter(([server]) => set.servers.has(server));
  return { ...set, destinations: Object.fromEntries(sent.map(([server, { destination }]) => [server, destination])) };
}
