// Encodes a CheckResponse (envoy.service.auth.v3) into bytes. Pure.
// https://github.com/envoyproxy/envoy/blob/v1.40.0/api/envoy/service/auth/v3/external_auth.proto
import type { JsonObject, JsonValue } from "../json/types.ts";
import { BackwardWriter } from "./protobuf.ts";

/** Changes of the query of a request that goes on. */
export interface QueryParameters {
  readonly set: readonly (readonly [name: string, value: string])[];
  readonly remove: readonly string[];
}

/** A CheckResponse as data. `ok` is the only member with status 0. */
export type CheckResponse =
  | {
      readonly kind: "ok";
      readonly set: ReadonlyMap<string, string>;
      readonly remove: readonly string[];
      /** What `remove` begins with: a list that other responses have, too, and that never changes. */
      readonly shared?: readonly string[];
      readonly responseHeaders: ReadonlyMap<string, string>;
      readonly query?: QueryParameters | null;
      readonly metadata: Metadata;
      readonly more?: JsonObject | null;
    }
  | {
      readonly kind: "denied";
      /** gRPC status code; never 0. */
      readonly code: number;
      readonly http: number;
      readonly headers: ReadonlyMap<string, string>;
      readonly body: string;
      readonly metadata: Metadata;
      /** Members of the dynamic metadata beside `mcp`. */
      readonly more?: JsonObject | null;
    };

/** Dynamic metadata in the namespace `mcp`: name and value. */
export type Metadata = Iterable<readonly [string, string]>;

/** Namespace of the dynamic metadata, for Envoy's routes and access log. */
export const METADATA_NAMESPACE = "mcp";
/** HeaderValueOption.HeaderAppendAction. */
export const OVERWRITE_IF_EXISTS_OR_ADD = 2;

/** Field numbers by message, as in protos/. */
const CHECK_RESPONSE = { status: 1, deniedResponse: 2, okResponse: 3, dynamicMetadata: 4 };
const STATUS = { code: 1 };
const DENIED = { status: 1, headers: 2, body: 3 };
const OK = { headers: 2, headersToRemove: 5, responseHeadersToAdd: 6, queryToSet: 7, queryToRemove: 8 };
const QUERY_PARAMETER = { key: 1, value: 2 };
const HEADER_OPTION = { header: 1, append: 2, appendAction: 3 };
const HEADER_VALUE = { key: 1, value: 2 };
/** google.protobuf.Struct, Value and the entries of a map. */
const STRUCT = { fields: 1 };
const VALUE = { nullValue: 1, numberValue: 2, stringValue: 3, boolValue: 4, structValue: 5, listValue: 6 };
const LIST = { values: 1 };
const MAP_ENTRY = { key: 1, value: 2 };

/** Encodes into one buffer. The writer goes backwards, so the fields stand here in reverse order. */
export function encodeCheckResponse(response: CheckResponse): Buffer {
  const writer = new BackwardWriter();
  writeMetadata(writer, response.metadata, response.more ?? {});
  if (response.kind === "ok") writeOk(writer, response);
  else writeDenied(writer, response);
  return writer.finish();
}

function writeOk(
  writer: BackwardWriter,
  { set, remove, shared = NONE, responseHeaders, query = null }: Extract<CheckResponse, { kind: "ok" }>,
): void {
  const mark = writer.mark();
  if (query !== null) writeQuery(writer, query);
  if (responseHeaders.size > 0) writeHeaders(writer, OK.responseHeadersToAdd, responseHeaders);
  for (let i = remove.length - 1; i >= shared.length; i -= 1) writer.string(OK.headersToRemove, remove[i] ?? "");
  if (shared.length > 0) writer.raw(removalsOf(shared));
  writeHeaders(writer, OK.headers, set);
  writer.message(CHECK_RESPONSE.okResponse, mark);
  writer.message(CHECK_RESPONSE.status, writer.mark()); // google.rpc.Status with code 0
}

const NONE: readonly string[] = [];
const REMOVALS = new WeakMap<readonly string[], Buffer>();

function removalsOf(names: readonly string[]): Buffer {
  let bytes = REMOVALS.get(names);
  if (bytes === undefined) {
    const writer = new BackwardWriter();
    for (const name of names.toReversed()) writer.string(OK.headersToRemove, name);
    REMOVALS.set(names, (bytes = writer.finish()));
  }
  return bytes;
}

function writeDenied(
  writer: BackwardWriter,
  { code, http, headers, body }: Extract<CheckResponse, { kind: "denied" }>,
): void {
  const mark = writer.mark();
  writer.string(DENIED.body, body);
  writeHeaders(writer, DENIED.headers, headers);
  const status = writer.mark();
  writer.int32(STATUS.code, http);
  writer.message(DENIED.status, status);
  writer.message(CHECK_RESPONSE.deniedResponse, mark);
  const rpc = writer.mark();
  writer.int32(STATUS.code, code);
  writer.message(CHECK_RESPONSE.status, rpc);
}

/** Both `append: false` and the action: with neither, some versions of Envoy add a second header (threat model: M3). */
function writeHeaders(writer: BackwardWriter, field: number, headers: ReadonlyMap<string, string>): void {
  for (const [name, value] of reversed(headers)) {
    const option = writer.mark();
    writer.int32(HEADER_OPTION.appendAction, OVERWRITE_IF_EXISTS_OR_ADD);
    writer.message(HEADER_OPTION.append, writer.mark()); // BoolValue false
    const header = writer.mark();
    writer.string(HEADER_VALUE.value, value);
    writer.string(HEADER_VALUE.key, name);
    writer.message(HEADER_OPTION.header, header);
    writer.message(field, option);
  }
}

function reversed(headers: ReadonlyMap<string, string>): Iterable<readonly [string, string]> {
  return headers.size < 2 ? headers : [...headers].toReversed();
}

function writeQuery(writer: BackwardWriter, { set, remove }: QueryParameters): void {
  for (const name of remove.toReversed()) writer.string(OK.queryToRemove, name);
  for (const [name, value] of set.toReversed()) {
    const parameter = writer.mark();
    writer.string(QUERY_PARAMETER.value, value);
    writer.string(QUERY_PARAMETER.key, name);
    writer.message(OK.queryToSet, parameter);
  }
}

/** google.protobuf.Struct `{…more, mcp: {name: "value", …}}`. */
function writeMetadata(writer: BackwardWriter, metadata: Metadata, more: JsonObject): void {
  const whole = writer.mark();
  for (const [name, value] of metadata) {
    const entry = writer.mark();
    writer.string(VALUE.stringValue, value);
    writer.message(MAP_ENTRY.value, entry);
    writer.string(MAP_ENTRY.key, name);
    writer.message(STRUCT.fields, entry);
  }
  writer.message(VALUE.structValue, whole);
  writer.message(MAP_ENTRY.value, whole);
  writer.string(MAP_ENTRY.key, METADATA_NAMESPACE);
  writer.message(STRUCT.fields, whole);
  // Nothing else is ever said in our namespace: routes are chosen by it.
  for (const [name, value] of Object.entries(more).toReversed())
    if (name !== METADATA_NAMESPACE) writeMember(writer, name, value);
  writer.message(CHECK_RESPONSE.dynamicMetadata, whole);
}

function writeMember(writer: BackwardWriter, name: string, value: JsonValue): void {
  const entry = writer.mark();
  writeValue(writer, value);
  writer.message(MAP_ENTRY.value, entry);
  writer.string(MAP_ENTRY.key, name);
  writer.message(STRUCT.fields, entry);
}

/** google.protobuf.Value. */
function writeValue(writer: BackwardWriter, value: JsonValue): void {
  if (value === null) writer.int32(VALUE.nullValue, 0);
  else if (typeof value === "string") writer.string(VALUE.stringValue, value.toWellFormed());
  else if (typeof value === "number") writer.double(VALUE.numberValue, value);
  else if (typeof value === "boolean") writer.int32(VALUE.boolValue, value ? 1 : 0);
  else {
    const mark = writer.mark();
    if (isList(value)) {
      for (const item of value.toReversed()) {
        const one = writer.mark();
        writeValue(writer, item);
        writer.message(LIST.values, one);
      }
    } else for (const [name, member] of Object.entries(value).toReversed()) writeMember(writer, name, member);
    writer.message(isList(value) ? VALUE.listValue : VALUE.structValue, mark);
  }
}

function isList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}
