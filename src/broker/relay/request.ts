// Turns a client's call into its server's: splices the body, derives the headers. Pure.
import { encodeHeaderValue } from "../../mcp/header-value.ts";
import {
  innerObjectSpan,
  readObjectSpan,
  setMembers,
  splice,
  type Edit,
  type ObjectSpan,
  type Span,
} from "../../json/spans.ts";
import type { JsonValue } from "../../json/types.ts";
import { methodRow } from "../../mcp/method-table.ts";
import type { RpcId } from "../../mcp/operation.ts";
import { paramHeaders } from "../../mcp/param-headers.ts";
import { idOf } from "../../mcp/upstream-message.ts";
import { MODERN } from "../../mcp/versions.ts";
import { META_CAPABILITIES, META_LOG_LEVEL } from "../../mcp/meta.ts";
import { headersFor } from "../upstream/client.ts";
import { META, type Dialect } from "../upstream/era.ts";
import type { RelayCall } from "./admit.ts";
import { declaredCapabilities, inputEdits } from "./asking.ts";
import { withoutTasks, type CallTask } from "./tasks.ts";
import type { MapUri } from "./result-names.ts";
import { credentialHeader } from "../upstream/upstream.ts";

/** The id and the dialect in which a call is written to its server. */
export interface WireTerms {
  /**
   * The id on the way to the server, unique among all calls: nearly all clients count from 0, and some servers find the
   * connection of a response by its id alone (B32).
   */
  readonly wireId: number;
  readonly dialect: Dialect;
}

/** The request to the server, and the values that its response is matched with. */
export interface RelayRequest extends WireTerms {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** The client's id, byte for byte. */
  readonly clientId: Buffer;
  readonly progressToken: RpcId | null;
  /** Maps the URIs in what comes back; null where they stay. */
  readonly mapUri: MapUri | null;
  readonly task: CallTask;
  /** True if the server may ask the client something before it answers. */
  readonly mayAsk: boolean;
}

/** Finds a tool's input schema; undefined if it is not known. */
export type FindSchema = (server: string, tool: string) => JsonValue | undefined;

/**
 * A call as its server must get it: the client's bytes but for the id, the server's own name, and `_meta` where the
 * server's revision demands it.
 */
export function relayRequest(call: RelayCall, { dialect, wireId }: WireTerms, findSchema: FindSchema): RelayRequest {
  const { body, operation } = call;
  const spans = spansOf(call);
  const needsMeta = dialect.era === "modern" && operation.version !== MODERN;
  const id = { ...spans.id, text: String(wireId) };
  const edits = [id, ...renaming(call, spans), ...nullEdits(body, spans.params, skippedNulls(call, needsMeta))];
  if (needsMeta) edits.push(...metaEdits(call, spans));
  if (call.asking?.inputs) edits.push(...inputEdits(spans.params, call.asking.inputs));
  if (dialect.era === "legacy" && operation.version === MODERN) edits.push(...olderMeta(body, spans));
  if (dialect.era === "modern" && !needsMeta) edits.push(...withoutTasks(body, call.task));
  return {
    headers: {
      ...forwardedHeaders(call, dialect, findSchema),
      ...headersFor(dialect, operation.method),
      ...(dialect.era === "modern" && nameHeader(call)),
      ...credentialHeader(call.credential),
    },
    body: splice(body, edits),
    wireId,
    clientId: body.subarray(spans.id.start, spans.id.end),
    progressToken: idOf(body, spans.meta?.members.get("progressToken")),
    mapUri: call.mapUri,
    task: call.task,
    mayAsk: needsMeta && call.asking !== null,
    dialect,
  };
}

/** `Mcp-Name`, where the stateless revision has it: a server refuses one that its body does not have. */
function nameHeader({ operation: { method }, name, task }: RelayCall): Record<string, string> {
  if (task.kind === "about") return { "mcp-name": encodeHeaderValue(task.task.id) };
  return methodRow(method)?.nameHeader === true ? { "mcp-name": encodeHeaderValue(name) } : {};
}

interface CallSpans {
  readonly id: Span;
  readonly params: ObjectSpan;
  readonly meta: ObjectSpan | null;
}

/** The places that are edited. The strict reader has found the same members in these bytes before. */
function spansOf({ body }: RelayCall): CallSpans {
  const root = readObjectSpan(body);
  const params = innerObjectSpan(body, root?.members.get("params"));
  const id = root?.members.get("id");
  if (params === null || id === undefined) throw new Error("a call without an id or params");
  return { id, params, meta: innerObjectSpan(body, params.members.get("_meta")) };
}

/** On the merged endpoint a name or URI tells its server; the server gets its own. */
function renaming(call: RelayCall, { params }: CallSpans): Edit[] {
  const { operation, name, body, task } = call;
  if (task.kind === "about") {
    const id = params.members.get("taskId");
    if (id === undefined) throw new Error("a task without an id");
    return [{ ...id, text: JSON.stringify(task.task.id) }];
  }
  if (operation.wrapped === true) return unwrapping(call, params);
  if (name === operation.name) return [];
  const isInRef = methodRow(operation.method)?.nameParam === "ref";
  const holder = isInRef ? innerObjectSpan(body, params.members.get("ref")) : params;
  const span = holder?.members.get(operation.kind === "resource" ? "uri" : "name");
  if (span === undefined) throw new Error("a renamed call without a name");
  return [{ ...span, text: JSON.stringify(name) }];
}

/** The call inside a call of `call_tool`, in its place; the bytes of its arguments stay as they are. */
function unwrapping({ name, body }: RelayCall, { members }: ObjectSpan): Edit[] {
  const [nameSpan, outer] = [members.get("name"), members.get("arguments")];
  const inner = innerObjectSpan(body, outer)?.members.get("arguments");
  if (nameSpan === undefined || outer === undefined) throw new Error("a wrapped call without a name or arguments");
  const text = inner === undefined || isNull(body, inner) ? "{}" : body.subarray(inner.start, inner.end).toString();
  return [
    { ...nameSpan, text: JSON.stringify(name) },
    { ...outer, text },
  ];
}

/** Optional objects: a client that writes null means none, and so policy saw none. A server may refuse null. */
const OPTIONAL_OBJECTS = ["arguments", "_meta", "context", "inputResponses"];

/** Those that get another value. */
function skippedNulls({ asking }: RelayCall, needsMeta: boolean): readonly string[] {
  return [...(needsMeta ? ["_meta"] : []), ...(asking?.inputs?.inputResponses ? ["inputResponses"] : [])];
}

function nullEdits(body: Buffer, { members }: ObjectSpan, skipped: readonly string[]): Edit[] {
  return OPTIONAL_OBJECTS.flatMap((name) => {
    const span = members.get(name);
    if (span === undefined || skipped.includes(name)) return [];
    return isNull(body, span) ? [{ ...span, text: "{}" }] : [];
  });
}

function isNull(body: Buffer, { start, end }: Span): boolean {
  return body.toString("latin1", start, end) === "null";
}

/**
 * `_meta` of the stateless revision. The capabilities are those of a client who can be asked, else none; the level of log messages,
 * which each request has there, is the one that she set for her session.
 */
function metaEdits({ asking, session }: RelayCall, { params, meta }: CallSpans): Edit[] {
  const level = session?.settings.logLevel ?? null;
  const all = {
    ...META,
    ...(asking !== null && { [META_CAPABILITIES]: declaredCapabilities(asking.capabilities) }),
    ...(level !== null && { [META_LOG_LEVEL]: level }),
  };
  if (meta === null) return setMembers(params, { _meta: JSON.stringify(all) });
  return setMembers(
    meta,
    Object.fromEntries(Object.entries(all).map(([name, value]) => [name, JSON.stringify(value)])),
  );
}

/** `_meta` without what the stateless revision alone has: some older servers refuse a request that speaks of it. */
function olderMeta(body: Buffer, { meta }: CallSpans): Edit[] {
  if (meta === null) return [];
  const kept = [...meta.members].filter(([name]) => !(name in META));
  if (kept.length === meta.members.size) return [];
  const members = kept.map(([name, { start, end }]) => `${JSON.stringify(name)}:${body.toString("utf8", start, end)}`);
  return [{ start: meta.start, end: meta.end, text: `{${members.join(",")}}` }];
}

/**
 * The client's `mcp-*` headers, but for those that mirror arguments: they are derived again from the body that policy saw,
 * because the client's could differ from it (B23). A client of an older revision has none.
 */
function forwardedHeaders(call: RelayCall, dialect: Dialect, findSchema: FindSchema): Record<string, string> {
  const { upstream, operation, name, forwarded } = call;
  if (dialect.era === "legacy") return forwarded;
  const isOwn = ([header]: [string, string]) => operation.version === MODERN || !header.startsWith("mcp-param-");
  const headers = new Map(Object.entries(forwarded).filter(isOwn));
  const schema = operation.kind === "tool" ? findSchema(upstream.name, name) : undefined;
  for (const [header, value] of Object.entries(paramHeaders(schema, operation.arguments))) {
    if (value === null) headers.delete(header);
    else headers.set(header, value);
  }
  return Object.fromEntries(headers);
}
