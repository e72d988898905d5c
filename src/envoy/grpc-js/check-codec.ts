// The codec of the reference stack: @grpc/proto-loader with protos/. Pure, once the definitions are loaded.
// protobufjs takes what our own reader refuses (the last of two copies of a field, text that is not UTF-8), so a request
// must pass both, and both must read the same (decision record 011).
import type { RequestHeaders } from "../../authz/types.ts";
import type { CheckCodec } from "../check-codec.ts";
import { decodeCheckRequest, type CheckRequestFields } from "../decode-check-request.ts";
import type { JsonObject, JsonValue } from "../../json/types.ts";
import {
  METADATA_NAMESPACE,
  OVERWRITE_IF_EXISTS_OR_ADD,
  type CheckResponse,
  type Metadata,
} from "../encode-check-response.ts";
import { WireFault } from "../protobuf.ts";
import { AUTHORIZATION } from "./definitions.ts";
import { ListedHeaders } from "./listed-headers.ts";

/** A CheckRequest as proto-loader gives it: absent fields are undefined. */
interface CheckRequest {
  readonly attributes?: {
    readonly source?: Source;
    readonly request?: { readonly http?: HttpRequest };
  };
}

interface Source {
  readonly address?: Address;
  readonly principal?: string;
}

interface Address {
  readonly socket_address?: { readonly address?: string };
  readonly pipe?: { readonly path?: string };
}

interface HttpRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly path?: string;
  readonly host?: string;
  readonly size?: number;
  readonly body?: string;
  readonly raw_body?: Buffer;
  readonly header_map?: { readonly headers?: readonly HeaderValue[] };
}

interface HeaderValue {
  readonly key?: string;
  readonly value?: string;
  readonly raw_value?: Buffer;
}

const { Check } = AUTHORIZATION;
if (Check === undefined) throw new Error("protos/ has no method Check");
const { requestDeserialize, responseSerialize } = Check;

type ReferenceFields = CheckRequestFields & { readonly headers: ListedHeaders | null };

export const REFERENCE_CODEC: CheckCodec = {
  decode(bytes) {
    const strict = decodeCheckRequest(bytes);
    if (strict.tooManyHeaders) return strict; // a refusal, and costly to read once more
    const fields = fieldsOf(deserialized(bytes), [...(strict.headers?.names() ?? [])]);
    if (!areEqual(strict, fields)) throw new WireFault("two readers read it differently");
    return fields;
  },
  encode: (response) => responseSerialize(messageOf(response)),
};

function deserialized(bytes: Buffer): CheckRequest {
  try {
    return requestDeserialize(bytes);
  } catch {
    throw new WireFault("protobufjs does not read it");
  }
}

/** @param order of the header names: an object gives names such as "10" first */
function fieldsOf({ attributes }: CheckRequest, order: readonly string[]): ReferenceFields {
  const http = attributes?.request?.http ?? {};
  const { method = "", path = "", host = "", size = 0 } = http;
  return {
    ...{ method, path, host, size },
    headers: headersOf(http, order),
    tooManyHeaders: false,
    body: http.body === undefined ? null : Buffer.from(http.body),
    rawBody: http.raw_body ?? null,
    ...peerOf(attributes?.source),
  };
}

function peerOf({ address, principal = "" }: Source = {}): Pick<CheckRequestFields, "peer" | "principal"> {
  return { peer: address?.socket_address?.address ?? address?.pipe?.path ?? "", principal };
}

/** Of the map form or of the list form; null without any of both. */
function headersOf({ headers, header_map: list }: HttpRequest, order: readonly string[]): ListedHeaders | null {
  if (headers !== undefined) return new ListedHeaders(Object.entries(headers), order);
  if (list === undefined) return null;
  return new ListedHeaders(
    (list.headers ?? []).map(({ key = "", value = "", raw_value: raw }) => [
      key,
      value === "" ? (raw?.toString("latin1") ?? "") : value,
    ]),
    order,
  );
}

/** True if both readers found the same. */
function areEqual(one: CheckRequestFields, other: ReferenceFields): boolean {
  const texts = ["method", "path", "host", "size", "peer", "principal"] as const;
  if (texts.some((name) => one[name] !== other[name])) return false;
  if (!areEqualBytes(one.body, other.body) || !areEqualBytes(one.rawBody, other.rawBody)) return false;
  if (one.headers === null || other.headers === null) return one.headers === other.headers;
  return areEqualHeaders(one.headers, other.headers);
}

function areEqualBytes(one: Buffer | null, other: Buffer | null): boolean {
  return one === null || other === null ? one === other : one.equals(other);
}

function areEqualHeaders(one: RequestHeaders, other: ListedHeaders): boolean {
  const names = [...one.names()];
  return (
    names.length === other.size &&
    names.every((name) => one.get(name) === other.get(name) && one.repeated(name) === other.repeated(name))
  );
}

function messageOf(response: CheckResponse): object {
  const dynamic_metadata = structOf(response.metadata, response.more ?? {});
  if (response.kind === "ok") {
    const { set, remove, responseHeaders, query = null } = response;
    const ok_response = {
      headers: optionsOf(set),
      headers_to_remove: remove,
      response_headers_to_add: optionsOf(responseHeaders),
      query_parameters_to_set: query?.set.map(([key, value]) => ({ key, value })) ?? [],
      query_parameters_to_remove: query?.remove ?? [],
    };
    return { status: {}, ok_response, dynamic_metadata };
  }
  const { code, http, headers, body } = response;
  return {
    status: { code },
    denied_response: { status: { code: http }, headers: optionsOf(headers), body },
    dynamic_metadata,
  };
}

/** Both `append: false` and the action: with neither, some versions of Envoy add a second header (threat model: M3). */
function optionsOf(headers: ReadonlyMap<string, string>): object[] {
  return Array.from(headers, ([key, value]) => ({
    header: { key, value },
    append: {},
    append_action: OVERWRITE_IF_EXISTS_OR_ADD,
  }));
}

/**
 * google.protobuf.Struct, which protobufjs brings along: its fields have camelCase names, whatever `keepCase` says.
 * In the order that our own encoder writes, so that the bytes of both codecs can be compared.
 */
function structOf(metadata: Metadata, more: JsonObject): object {
  const entries = [...metadata].toReversed();
  const fields = Object.fromEntries(entries.map(([name, value]) => [name, { stringValue: value }]));
  const others = Object.entries(more).filter(([name]) => name !== METADATA_NAMESPACE);
  const members = Object.fromEntries(others.map(([name, value]) => [name, valueOf(value)]));
  return { fields: { ...members, [METADATA_NAMESPACE]: { structValue: { fields } } } };
}

/** google.protobuf.Value. */
function valueOf(value: JsonValue): object {
  if (value === null) return { nullValue: 0 };
  if (typeof value === "string") return { stringValue: value.toWellFormed() };
  if (typeof value === "number") return { numberValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  if (isList(value)) return { listValue: { values: value.map(valueOf) } };
  return {
    structValue: { fields: Object.fromEntries(Object.entries(value).map(([name, one]) => [name, valueOf(one)])) },
  };
}

function isList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}
