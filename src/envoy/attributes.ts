// The attributes of a CheckRequest as JSON, for policies of the form of opa-envoy-plugin: names in camel case, and only what is
// there (docs/opa-envoy.md). Pure. Method, path, host, headers and body are left out: others have read those (decode-check-request.ts).
// https://github.com/envoyproxy/envoy/blob/v1.40.0/api/envoy/service/auth/v3/attribute_context.proto
import type { JsonObject, JsonValue } from "../json/types.ts";
import { FieldReader, once, WireFault } from "./protobuf.ts";
import { readEntry, readStruct, type Read } from "./struct.ts";

/** How a message is read: by field number, the name in JSON and what is there. A field that is not here is passed over. */
type Message = Readonly<Record<number, readonly [name: string, read: Read<JsonValue>]>>;

const text: Read<JsonValue> = (reader) => reader.string();
const whole: Read<JsonValue> = (reader) => {
  const value = reader.int64();
  if (!Number.isSafeInteger(value)) throw new WireFault("an integer that JavaScript cannot hold");
  return value;
};
/** Members that are zero are not there, as in the plugin; an empty message is. */
const isThere = (value: JsonValue) => value !== "" && value !== 0 && value !== false;

/** The maps of a message by field number, beside its other fields. */
type Maps = Readonly<Record<number, readonly [name: string, read: Read<JsonValue>]>>;

function message(fields: Message, mapFields: Maps = {}): Read<JsonValue> {
  return (reader) => {
    const entries: [string, JsonValue][] = [];
    const found = new Map<string, Map<string, JsonValue>>();
    const outer = reader.enter();
    let seen = 0;
    while (reader.next()) {
      const [map, field] = [mapFields[reader.field], fields[reader.field]];
      if (map !== undefined) {
        const into = found.get(map[0]) ?? new Map<string, JsonValue>();
        found.set(map[0], into);
        readEntry(reader, into, map[1]);
      } else if (field === undefined) reader.skip();
      else {
        seen = once(seen, reader.field);
        const value = field[1](reader);
        if (isThere(value)) entries.push([field[0], value]);
      }
    }
    reader.leave(outer);
    const maps: [string, JsonValue][] = Array.from(found, ([name, map]) => [name, Object.fromEntries(map)]);
    return Object.fromEntries([...entries, ...maps]);
  };
}

const address = message({
  1: [
    "socketAddress",
    message({ 1: ["protocol", whole], 2: ["address", text], 3: ["portValue", whole], 4: ["namedPort", text] }),
  ],
  2: ["pipe", message({ 1: ["path", text], 2: ["mode", whole] })],
  3: ["envoyInternalAddress", message({ 1: ["serverListenerName", text], 2: ["endpointId", text] })],
});
const peer = message(
  { 1: ["address", address], 2: ["service", text], 4: ["principal", text], 5: ["certificate", text] },
  { 3: ["labels", text] },
);
/** Without method, headers, path, host and body. */
const http = message({
  1: ["id", text],
  6: ["scheme", text],
  7: ["query", text],
  8: ["fragment", text],
  9: ["size", whole],
  10: ["protocol", text],
});
const metadata = message({}, { 1: ["filterMetadata", readStruct] });

const attributes = message(
  {
    1: ["source", peer],
    2: ["destination", peer],
    4: [
      "request",
      message({ 1: ["time", message({ 1: ["seconds", whole], 2: ["nanos", whole] })], 2: ["http", http] }),
    ],
    11: ["metadataContext", metadata],
    12: ["tlsSession", message({ 1: ["sni", text] })],
    13: ["routeMetadataContext", metadata],
  },
  { 10: ["contextExtensions", text] },
);

const ATTRIBUTES = 1;

/**
 * The attributes of a CheckRequest (envoy.service.auth.v3); null for bytes that are none, or that two readers could read
 * differently.
 */
export function readAttributes(bytes: Buffer): JsonObject | null {
  try {
    const reader = new FieldReader(bytes);
    let found: JsonValue = {};
    let seen = 0;
    while (reader.next()) {
      if (reader.field !== ATTRIBUTES) reader.skip();
      else {
        seen = once(seen, ATTRIBUTES);
        found = attributes(reader);
      }
    }
    return found as JsonObject;
  } catch (error) {
    if (error instanceof WireFault) return null;
    throw error;
  }
}
