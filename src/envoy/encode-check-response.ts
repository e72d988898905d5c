// Encodes a CheckResponse (envoy.service.auth.v3) into bytes. Pure.
// https://github.com/envoyproxy/envoy/blob/v1.40.0/api/envoy/service/auth/v3/external_auth.proto
import { BackwardWriter } from "./protobuf.ts";

/** A CheckResponse as data. `ok` is the only member with status 0. */
export type CheckResponse =
  | {
      readonly kind: "ok";
      readonly set: ReadonlyMap<string, string>;
      readonly remove: readonly string[];
      readonly responseHeaders: ReadonlyMap<string, string>;
      readonly metadata: Metadata;
    }
  | {
      readonly kind: "denied";
      /** gRPC status code; never 0. */
      readonly code: number;
      readonly http: number;
      readonly headers: ReadonlyMap<string, string>;
      readonly body: string;
      readonly metadata: Metadata;
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
const OK = { headers: 2, headersToRemove: 5, responseHeadersToAdd: 6 };
const HEADER_OPTION = { header: 1, append: 2, appendAction: 3 };
const HEADER_VALUE = { key: 1, value: 2 };
/** google.protobuf.Struct, Value and the entries of a map. */
const STRUCT = { fields: 1 };
const VALUE = { stringValue: 3, structValue: 5 };
const MAP_ENTRY = { key: 1, value: 2 };

/** Encodes into one buffer. The writer goes backwards, so the fields stand here in reverse order. */
export function encodeCheckResponse(response: CheckResponse): Buffer {
  const writer = new BackwardWriter();
  writeMetadata(writer, response.metadata);
  if (response.kind === "ok") writeOk(writer, response);
  else writeDenied(writer, response);
  return writer.finish();
}

function writeOk(
  writer: BackwardWriter,
  { set, remove, responseHeaders }: Extract<CheckResponse, { kind: "ok" }>,
): void {
  const mark = writer.mark();
  if (responseHeaders.size > 0) writeHeaders(writer, OK.responseHeadersToAdd, responseHeaders);
  for (let i = remove.length - 1; i >= 0; i -= 1) writer.string(OK.headersToRemove, remove[i] ?? "");
  writeHeaders(writer, OK.headers, set);
  writer.message(CHECK_RESPONSE.okResponse, mark);
  writer.message(CHECK_RESPONSE.status, writer.mark()); // google.rpc.Status with code 0
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
  for (const [name, value] of [...headers].toReversed()) {
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

/** google.protobuf.Struct `{mcp: {name: "value", …}}`. */
function writeMetadata(writer: BackwardWriter, metadata: Metadata): void {
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
  writer.message(CHECK_RESPONSE.dynamicMetadata, whole);
}
