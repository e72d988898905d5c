// What becomes of an McpResponse: a list loses what its caller may not see; every other answer passes or not. Pure but for the pipeline.
import type { CheckFacts } from "../authz/facts.ts";
import type { McpEndpoint } from "../authz/endpoint.ts";
import type { Pipeline } from "../authz/pipeline.ts";
import { pass, refuse, type Step } from "../authz/step.ts";
import { isObject } from "../json/object.ts";
import type { JsonObject, JsonValue } from "../json/types.ts";
import { readJson } from "../json/strict-reader.ts";
import { isOtherList, listKindOf, LISTS, type List } from "../mcp/lists.ts";
import type { McpMessage } from "./decode.ts";
import { METADATA } from "./request-phase.ts";
import { ownName, type PrefixMode } from "./shown-names.ts";
import { headersOf, type Ticket, type Tickets } from "./ticket.ts";

/** An answer that its client gets. */
export interface Passed {
  readonly ticket: Ticket;
  /** The list in its place; null for the answer as it is. */
  readonly json: string | null;
}

export interface ResponsePorts {
  readonly pipeline: () => Pipeline;
  readonly tickets: Tickets;
  readonly prefixMode: PrefixMode;
}

/** A list of a thousand tools with their schemas. It comes from a server, and is read on the thread that decides. */
const LIMITS = { maxDepth: 128, maxMembers: 100_000, verbatim: true };
const MAX_LIST_BYTES = 2 * 1024 * 1024;
/** Names of one kind and server that are judged; a catalogue has as many. */
const MAX_NAMES = 1000;

/** Judges one answer. Without the ticket of its request nothing passes. */
export async function judgeResponse(
  ports: ResponsePorts,
  message: McpMessage,
  [facts, signal]: readonly [CheckFacts, AbortSignal],
): Promise<Step<Passed>> {
  const { method, services, metadata, json } = message;
  facts.method = method;
  const [server] = services;
  facts.server = services.length === 1 ? (server ?? null) : null;
  const ticket = ports.tickets.open(metadata.get(METADATA.ticket) ?? "", message);
  if (ticket === null) return refuse("policy_denied", "an answer without the ticket of its request");
  const { caller, actors, requestId, sourceIp } = ticket.admitted;
  facts.identity = { issuer: caller.issuer, subject: caller.subject, actors };
  facts.wristband = requestId;
  facts.sourceIp = sourceIp;
  const listed = listKindOf(method);
  if (listed === null) return pass({ ticket, json: null });
  const list = LISTS[listed];
  facts.kind = list.kind;
  const result = readList(json);
  if (!result.ok) return result;
  const shown = await filtered({ ports, ticket, message, list }, result.value, [facts, signal]);
  if (!shown.ok) return shown;
  const { entries, all } = shown.value;
  facts.note = `shows ${entries.length} of ${all}`;
  const own = ownMembers(result.value, list);
  const isUnchanged = own === result.value && entries.length === all;
  return pass({ ticket, json: isUnchanged ? null : JSON.stringify({ ...own, [list.member]: entries }) });
}

/** Without members that are another list's: their names are judged by nobody. The same object where there are none. */
function ownMembers(result: JsonObject, list: List): JsonObject {
  const members = Object.entries(result);
  const own = members.filter(([member]) => !isOtherList(list, member));
  return own.length === members.length ? result : Object.fromEntries(own);
}

function readList(json: Buffer | null): Step<JsonObject> {
  if (json !== null && json.length > MAX_LIST_BYTES)
    return { ...refuse("upstream_unavailable", "the list is too large"), limitBytes: MAX_LIST_BYTES };
  const result = json === null ? null : readJson(json, LIMITS);
  if (result?.ok !== true || !isObject(result.value)) return refuse("upstream_unavailable", "the list is malformed");
  return pass(result.value);
}

interface Filter {
  readonly ports: ResponsePorts;
  readonly ticket: Ticket;
  readonly message: McpMessage;
  readonly list: List;
}

/** The entries that are shown, as they came, in their order. */
async function filtered(
  { ports, ticket, message, list }: Filter,
  result: JsonObject,
  [facts, signal]: readonly [CheckFacts, AbortSignal],
): Promise<Step<{ readonly entries: readonly JsonValue[]; readonly all: number }>> {
  const found = result[list.member];
  if (!Array.isArray(found)) return refuse("upstream_unavailable", "the list is malformed");
  const entries: readonly JsonValue[] = found;
  const { services } = message;
  const named = entries.map((entry) =>
    ownName({ services, mode: ports.prefixMode }, list.kind, nameIn(entry, list.key)),
  );
  const pipeline = ports.pipeline();
  const visible = new Map<string, ReadonlySet<string>>();
  for (const server of services) {
    const names = named.flatMap((own) => (own?.server === server ? [own.name] : []));
    if (names.length > MAX_NAMES) return refuse("answer_too_large", "too many names in a list");
    const endpoint = endpointOf(pipeline, ticket, server);
    if (!endpoint.ok) return endpoint;
    const { caller, opens, version, host, path } = ticket.admitted;
    const asked = {
      endpoint: endpoint.value,
      kind: list.kind,
      names,
      version,
      caller,
      bytes: message.json?.length ?? 0,
    };
    const request = { host, path, headers: headersOf(ticket.admitted) };
    facts.path = path;
    const seen = await pipeline.visibleOf(
      { ...asked, request, opens: opens === null ? null : new Set(opens) },
      facts,
      signal,
    );
    if (!seen.ok) return seen;
    visible.set(server, seen.value);
  }
  const shown = entries.filter((_, i) => {
    const own = named[i] ?? null;
    return own !== null && visible.get(own.server)?.has(own.name) === true;
  });
  return pass({ entries: shown, all: entries.length });
}

function endpointOf(pipeline: Pipeline, { admitted: { virtualServer } }: Ticket, server: string): Step<McpEndpoint> {
  const endpoint = pipeline.endpointOf(server);
  return endpoint.ok ? pass({ ...endpoint.value, virtualServer }) : endpoint;
}

function nameIn(entry: JsonValue, key: string): string {
  const name = isObject(entry) ? entry[key] : undefined;
  return typeof name === "string" ? name : "";
}
