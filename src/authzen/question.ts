// One evaluation as a caller and an MCP message: what ext_authz would have been asked for the same facts. Pure.
import { pass, type Step } from "../authz/step.ts";
import type { RequestHeaders } from "../authz/types.ts";
import { isObject } from "../json/object.ts";
import type { JsonObject, JsonValue } from "../json/types.ts";
import { META_CAPABILITIES, META_VERSION } from "../mcp/meta.ts";
import { encodeHeaderValue } from "../mcp/header-value.ts";
import { methodRow, type MethodRow } from "../mcp/method-table.ts";
import { MODERN } from "../mcp/versions.ts";
import { malformed, type Evaluation } from "./read-request.ts";

export interface Question {
  readonly subject: SubjectAsked;
  /** The server at whose endpoint it is asked; null for the endpoint of all servers. */
  readonly server: string | null;
  /** An MCP message, and the headers that go with it. */
  readonly message: Buffer;
  readonly headers: RequestHeaders;
  readonly sourceIp: string | null;
}

export interface SubjectAsked {
  readonly id: string;
  readonly kind: "user" | "machine";
  readonly issuer: string | null;
  readonly claims: JsonObject | null;
  readonly said: Readonly<Record<"username" | "groups" | "scopes", JsonValue | undefined>>;
}

const DEFAULT_VERSION = "2025-11-25";
const MAX_TEXT = 8192;
const NO_PROPERTIES: JsonObject = {};

/** Refuses with what is wrong; its sender is told. */
export function questionOf({ subject, action, resource, context }: Evaluation): Step<Question> {
  const asked = subjectOf(subject);
  if (typeof asked === "string") return malformed("params_invalid", asked);
  const target = targetOf(action, resource);
  if (typeof target === "string") return malformed("params_invalid", target);
  const around = aroundOf(context);
  if (typeof around === "string") return malformed("params_invalid", around);
  return pass({
    ...{ subject: asked, server: target.server, sourceIp: around.sourceIp },
    message: messageOf(target, around.version),
    headers: headersOf(target, around),
  });
}

/** Type, id and properties of an entity of the information model, or the fault. */
function entityOf(value: JsonValue | undefined, what: "subject" | "resource") {
  if (!isObject(value)) return `${what} is not an object`;
  const { type, id, properties = NO_PROPERTIES } = value;
  if (!isText(type)) return `${what}.type is no text`;
  if (!isText(id)) return `${what}.id is no text`;
  return isObject(properties) ? { type, id, properties } : `${what}.properties is not an object`;
}

function isText(value: JsonValue | undefined): value is string {
  return typeof value === "string" && value !== "" && value.length <= MAX_TEXT;
}

function subjectOf(value: JsonValue | undefined): SubjectAsked | string {
  const entity = entityOf(value, "subject");
  if (typeof entity === "string") return entity;
  const { type, id, properties } = entity;
  if (type !== "user" && type !== "machine") return "subject.type is neither user nor machine";
  const { issuer = null, claims = null, username, groups, scopes } = properties;
  if (issuer !== null && !isText(issuer)) return "subject.properties.issuer is no text";
  if (claims !== null && !isObject(claims)) return "subject.properties.claims is not an object";
  return { id, kind: type, issuer, claims, said: { username, groups, scopes } };
}

interface TargetAsked {
  readonly method: string;
  readonly row: MethodRow | null;
  readonly server: string | null;
  /** The type of the resource: of a completion, what is completed. */
  readonly type: string;
  /** Null for what names nothing. */
  readonly name: string | null;
  readonly arguments: JsonObject | null;
}

/** Types of what names nothing: a server, or all of them. */
const ENDPOINTS = ["server", "gateway"];

function targetOf(action: JsonValue | undefined, resource: JsonValue | undefined): TargetAsked | string {
  const how = actionOf(action);
  if (typeof how === "string") return how;
  const entity = entityOf(resource, "resource");
  if (typeof entity === "string") return entity;
  const { type, id, properties } = entity;
  const { method } = how;
  const row = methodRow(method);
  const wanted = typesOf(row);
  if (!wanted.includes(type)) return `resource.type of this action is ${wanted.join(" or ")}`;
  const args = argumentsOf(how.properties, properties);
  if (typeof args === "string") return args;
  if (ENDPOINTS.includes(type))
    return { ...{ method, row, type, name: null, arguments: null }, server: type === "server" ? id : null };
  const { server = null } = properties;
  if (server !== null && !isText(server)) return "resource.properties.server is no text";
  return { method, row, type, name: id, server, arguments: args };
}

function actionOf(action: JsonValue | undefined): { method: string; properties: JsonObject } | string {
  if (!isObject(action)) return "action is not an object";
  const { name: method, properties = NO_PROPERTIES } = action;
  if (!isText(method)) return "action.name is no text";
  return isObject(properties) ? { method, properties } : "action.properties is not an object";
}

/** A method that nobody knows is refused by the pipeline, whatever it is about. */
function typesOf(row: MethodRow | null): readonly string[] {
  if (row === null) return ["tool", "prompt", "resource", "task", ...ENDPOINTS];
  if (row.nameParam === "ref") return ["prompt", "resource"];
  if (row.nameParam === "taskId") return ["task"];
  return row.nameParam !== null && row.kind !== null ? [row.kind] : ENDPOINTS;
}

function argumentsOf(action: JsonObject, resource: JsonObject): JsonObject | null | string {
  const [here, there] = [action["arguments"], resource["arguments"]];
  if (here !== undefined && there !== undefined) return "arguments are said twice";
  const found = here ?? there ?? null;
  return found === null || isObject(found) ? found : "arguments is not an object";
}

interface Around {
  readonly version: string;
  readonly sourceIp: string | null;
  /** Lower-case names. Policy sees those that the configuration lets it see. */
  readonly headers: ReadonlyMap<string, string>;
}

const MAX_SHORT = 64;

function aroundOf(context: JsonValue | undefined): Around | string {
  if (context === undefined) return { version: DEFAULT_VERSION, sourceIp: null, headers: new Map() };
  if (!isObject(context)) return "context is not an object";
  const { protocol_version: version = DEFAULT_VERSION, source_ip: sourceIp = null, headers = NO_PROPERTIES } = context;
  if (!isShort(version)) return "context.protocol_version is no text";
  if (sourceIp !== null && !isShort(sourceIp)) return "context.source_ip is no text";
  const entries = isObject(headers) ? Object.entries(headers) : null;
  if (entries === null || !entries.every(isHeader)) return "context.headers are texts under names in lower case";
  return { version, sourceIp, headers: new Map(entries) };
}

function isShort(value: JsonValue | undefined): value is string {
  return isText(value) && value.length <= MAX_SHORT;
}

function isHeader(entry: [string, JsonValue]): entry is [string, string] {
  return typeof entry[1] === "string" && /^[a-z0-9-]+$/.test(entry[0]);
}

function messageOf({ method, row, type, name, arguments: args }: TargetAsked, version: string): Buffer {
  const meta = version === MODERN ? { _meta: { [META_VERSION]: version, [META_CAPABILITIES]: {} } } : {};
  const named =
    row?.nameParam === "ref"
      ? { ref: { type: `ref/${type}`, [type === "prompt" ? "name" : "uri"]: name }, argument: { name: "", value: "" } }
      : name === null
        ? {}
        : { [row?.nameParam ?? "name"]: name };
  const params = { ...named, ...(args !== null && { arguments: args }), ...meta };
  const id = row?.class === "notification" ? {} : { id: 1 };
  return Buffer.from(JSON.stringify({ jsonrpc: "2.0", ...id, method, params }));
}

/** Those of the message are ours: a header of the context does not stand in for one. */
function headersOf({ method, row, name }: TargetAsked, { version, headers }: Around): RequestHeaders {
  const all = new Map(headers);
  for (const own of ["authorization", "mcp-method", "mcp-name"]) all.delete(own);
  all.set("mcp-protocol-version", version);
  if (version === MODERN) {
    all.set("mcp-method", method);
    if (row?.nameHeader === true && name !== null) all.set("mcp-name", encodeHeaderValue(name));
  }
  return { get: (of) => all.get(of), repeated: () => false, names: () => all.keys() };
}
