// What a policy of the form of opa-envoy-plugin answers: true, false, or an object. Anything else is no answer. Pure.
import type { HeaderLines, HostDecision, PolicyAnswer, QueryChange } from "../../authz/host-decision.ts";
import { HEADER_VALUE } from "../../authz/header-value.ts";
import { pass, refuse, type Step } from "../../authz/step.ts";
import { isObject } from "../../json/object.ts";
import type { JsonObject, JsonValue } from "../../json/types.ts";

/** Bytes of a response's body: what Envoy passes on of a refusal. */
const MAX_BODY = 64 * 1024;
const MAX_METADATA = 16 * 1024;
const MAX_DEPTH = 16;
const MAX_LINES = 100;
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/;
/** Members of an answer (opa-envoy-plugin, envoyauth/response.go); others are the author's own. */
const MEMBERS: ReadonlySet<string> = new Set([
  ...["allowed", "headers", "response_headers_to_add", "request_headers_to_remove"],
  ...["query_parameters_to_set", "query_parameters_to_remove", "dynamic_metadata", "body", "http_status"],
]);
/** A misspelt member of this sort would let pass what its author has removed. */
const LOOKALIKE = /header|query|remove|^allow/i;
/** Members of the metadata that are ours. */
const OWN_METADATA: ReadonlySet<string> = new Set(["mcp", "decision_id"]);
/** Final statuses of responses that have a body. */
function isStatus(status: unknown): status is number {
  const isFinal = typeof status === "number" && Number.isInteger(status) && status >= 200 && status < 600;
  return isFinal && ![204, 205, 304].includes(status);
}

/** A fault of an answer, thrown inside this module only; its text names a member, never a value. */
class Fault extends Error {}

/** Takes a result whole, or not at all. @param revision of the policy */
export function readAnswer(result: unknown, revision: string): Step<HostDecision> {
  if (typeof result === "boolean") return pass(result ? allowed({}, revision) : denied({}, revision));
  if (result === undefined) return refuse("policy_unavailable", "the decision is undefined");
  if (!isObject(result)) return refuse("policy_unavailable", "the decision is neither a boolean nor an object");
  try {
    const unknown = Object.keys(result).find((name) => !MEMBERS.has(name) && LOOKALIKE.test(name));
    if (unknown !== undefined) throw new Fault(`a member that is none, ${JSON.stringify(unknown.slice(0, 64))}`);
    const { allowed: isAllowed } = result;
    if (typeof isAllowed !== "boolean") throw new Fault("allowed, which must be true or false");
    return pass(isAllowed ? allowed(result, revision) : denied(result, revision));
  } catch (error) {
    if (error instanceof Fault) return refuse("policy_unavailable", `the decision has ${error.message}`);
    throw error;
  }
}

function allowed(result: JsonObject, revision: string): HostDecision {
  return {
    allow: true,
    revision,
    metadata: metadataOf(result),
    headers: linesOf(result, "headers"),
    remove: namesOf(result, "request_headers_to_remove", NAME).map((name) => name.toLowerCase()),
    responseHeaders: linesOf(result, "response_headers_to_add"),
    query: queryOf(result),
  };
}

function denied(result: JsonObject, revision: string): HostDecision {
  return { allow: false, revision, metadata: metadataOf(result), answer: answerOf(result) };
}

/** Framing is the data plane's. */
const FRAMING: ReadonlySet<string> = new Set([
  ...["content-length", "transfer-encoding", "connection", "trailer", "upgrade", "keep-alive", "te", "host"],
]);

function answerOf(result: JsonObject): PolicyAnswer | null {
  const { body = "", http_status: status = 403 } = result;
  if (typeof body !== "string" || Buffer.byteLength(body) > MAX_BODY || !body.isWellFormed())
    throw new Fault("a body that is no text, or too large");
  if (!isStatus(status)) throw new Fault("an http_status that no refusal can have");
  const headers = linesOf(result, "headers");
  const framing = [...headers.keys()].find((name) => FRAMING.has(name));
  if (framing !== undefined) throw new Fault(`the header ${framing}`);
  if ((headers.get("set-cookie")?.length ?? 0) > 1) throw new Fault("several set-cookie");
  const isOurs = !["body", "http_status", "headers"].some((name) => Object.hasOwn(result, name));
  return isOurs ? null : { status, headers, body };
}

/** Unreserved characters (RFC 3986 §2.3): the data plane writes what it gets, and any other could end the value or the line. */
const RAW = /^[A-Za-z0-9._~-]*$/;

function queryOf(result: JsonObject): QueryChange {
  const set = pairsOf(result["query_parameters_to_set"], "query_parameters_to_set").flatMap(([name, values]) =>
    values.map((value) => [name, value] as const),
  );
  if (set.some(([name, value]) => name === "" || !RAW.test(name + value)))
    throw new Fault("a text in query_parameters_to_set that a query cannot carry as it is");
  return { set, remove: namesOf(result, "query_parameters_to_remove", /^.+$/s) };
}

/** Header lines by name in lower case; of an object or a list of objects. */
function linesOf(result: JsonObject, member: string): HeaderLines {
  const lines = new Map<string, readonly string[]>();
  for (const [name, values] of pairsOf(result[member], member)) {
    if (!NAME.test(name)) throw new Fault(`a name in ${member} that no header has`);
    const low = name.toLowerCase();
    const all = [...(lines.get(low) ?? []), ...values];
    if (!all.every((value) => HEADER_VALUE.test(value)))
      throw new Fault(`a value in ${member} that no header can carry`);
    lines.set(low, all);
  }
  return lines;
}

function pairsOf(value: JsonValue | undefined, member: string): (readonly [string, readonly string[]])[] {
  const objects = value === undefined ? [] : isList(value) ? value : [value];
  const pairs = objects.flatMap((one) => {
    if (!isObject(one)) throw new Fault(`${member}, which must be an object or a list of objects`);
    return Object.entries(one).map(([name, texts]) => [name, textsOf(texts, member)] as const);
  });
  if (pairs.reduce((sum, [, values]) => sum + values.length, 0) > MAX_LINES) throw new Fault(`too much in ${member}`);
  return pairs;
}

function textsOf(value: JsonValue, member: string): readonly string[] {
  const values = isList(value) ? value : [value];
  if (values.length === 0 || !values.every((one) => typeof one === "string" && one.isWellFormed()))
    throw new Fault(`a value in ${member} that is neither a text nor a list of texts`);
  return values as readonly string[];
}

function namesOf(result: JsonObject, member: string, form: RegExp): readonly string[] {
  const { [member]: value = [] } = result;
  if (!isList(value) || value.length > MAX_LINES) throw new Fault(`${member}, which must be a list of texts`);
  return value.map((name) => {
    if (typeof name !== "string" || !form.test(name) || !name.isWellFormed())
      throw new Fault(`${member}, which must be a list of texts`);
    return name;
  });
}

function metadataOf(result: JsonObject): JsonObject {
  const { dynamic_metadata: metadata = {} } = result;
  if (!isObject(metadata)) throw new Fault("dynamic_metadata, which must be an object");
  if (Object.hasOwn(metadata, "mcp")) throw new Fault("dynamic_metadata.mcp, which is the gateway's own");
  if (depthOf(metadata) > MAX_DEPTH || Buffer.byteLength(JSON.stringify(metadata)) > MAX_METADATA)
    throw new Fault("too much dynamic_metadata");
  return Object.fromEntries(Object.entries(metadata).filter(([name]) => !OWN_METADATA.has(name)));
}

function depthOf(value: JsonValue): number {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value as object).map(depthOf));
}

function isList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}
