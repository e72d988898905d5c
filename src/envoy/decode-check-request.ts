import type { RequestHeaders } from "../authz/ports.ts";
import { FieldReader, WireFault } from "./protobuf.ts";

/** The fields of a CheckRequest that we read; null where the message has none. Field numbers: protos/. */
export interface CheckRequestFields {
  method: string;
  /** With the query. */
  path: string;
  host: string;
  headers: RequestHeaders | null;
  /** As the data plane counts the body; −1 for a body that was cut, with some. */
  size: number;
  body: Buffer | null;
  rawBody: Buffer | null;
  peer: string;
}

/**
 * Decodes the bytes of a CheckRequest (envoy.service.auth.v3).
 * @throws {WireFault} for bytes that are none
 */
export function decodeCheckRequest(bytes: Buffer): CheckRequestFields {
  const fields: CheckRequestFields = {
    method: "",
    path: "",
    host: "",
    headers: null,
    size: 0,
    body: null,
    rawBody: null,
    peer: "",
  };
  const seen = new Set<string>();
  const message = new FieldReader(bytes);
  while (message.next()) {
    if (message.field !== 1) message.skip();
    else {
      once(seen, "attributes");
      decodeAttributes(message.message(), fields, seen);
    }
  }
  return fields;
}

/** A second copy of a singular field would win in some readers and be merged by others. */
function once(seen: Set<string>, name: string): void {
  if (seen.has(name)) throw new WireFault(`${name} comes twice`);
  seen.add(name);
}

function decodeAttributes(message: FieldReader, fields: CheckRequestFields, seen: Set<string>): void {
  while (message.next()) {
    if (message.field === 1) {
      once(seen, "source");
      fields.peer = decodePeer(message.message());
    } else if (message.field === 4) {
      once(seen, "request");
      decodeRequest(message.message(), fields, seen);
    } else message.skip();
  }
}

function decodeRequest(request: FieldReader, fields: CheckRequestFields, seen: Set<string>): void {
  while (request.next()) {
    if (request.field !== 2) request.skip();
    else {
      once(seen, "http");
      decodeHttp(request.message(), fields, seen);
    }
  }
}

/** The address of Peer.address.socket_address, or of a pipe. */
function decodePeer(peer: FieldReader): string {
  while (peer.next()) {
    if (peer.field !== 1) {
      peer.skip();
      continue;
    }
    const address = peer.message();
    while (address.next()) {
      if (address.field === 1) return stringField(address.message(), 2);
      if (address.field === 2) return stringField(address.message(), 1);
      address.skip();
    }
  }
  return "";
}

function stringField(message: FieldReader, field: number): string {
  let value = "";
  while (message.next()) {
    if (message.field === field) value = message.string();
    else message.skip();
  }
  return value;
}

function decodeHttp(http: FieldReader, fields: CheckRequestFields, seen: Set<string>): void {
  const headers = new HeaderTable();
  let mapped = false;
  let listed = false;
  while (http.next()) {
    const { field } = http;
    if (field === 3) {
      mapped = true;
      decodeMapEntry(http.message(), headers);
      continue;
    }
    if (field === 13) {
      once(seen, "header_map");
      listed = true;
      decodeHeaderMap(http.message(), headers);
      continue;
    }
    const read = HTTP_FIELDS.get(field);
    if (read === undefined) http.skip();
    else {
      once(seen, `http.${field}`);
      read(http, fields);
    }
  }
  if (mapped && listed) throw new WireFault("both headers and header_map");
  fields.headers = mapped || listed ? headers : null;
}

const HTTP_FIELDS: ReadonlyMap<number, (http: FieldReader, fields: CheckRequestFields) => void> = new Map([
  [2, (http, fields) => void (fields.method = http.string())],
  [4, (http, fields) => void (fields.path = http.string())],
  [5, (http, fields) => void (fields.host = http.string())],
  [9, (http, fields) => void (fields.size = http.int64())],
  [11, (http, fields) => void (fields.body = Buffer.from(http.string()))],
  [12, (http, fields) => void (fields.rawBody = http.bytes())],
]);

/** Envoy's map form: names are unique, the values of several lines already joined (threat row D11). */
function decodeMapEntry(entry: FieldReader, headers: HeaderTable): void {
  let name = "";
  let value = "";
  while (entry.next()) {
    if (entry.field === 1) name = entry.string();
    else if (entry.field === 2) value = entry.string();
    else entry.skip();
  }
  if (!headers.put(name, value)) throw new WireFault("a header name comes twice in the map");
}

function decodeHeaderMap(map: FieldReader, headers: HeaderTable): void {
  while (map.next()) {
    if (map.field !== 1) {
      map.skip();
      continue;
    }
    const entry = map.message();
    let name = "";
    let value = "";
    while (entry.next()) {
      if (entry.field === 1) name = entry.string();
      else if (entry.field === 2) value ||= entry.string();
      // Bytes as they came: latin1 keeps each, and nothing beyond ASCII passes a check of ours.
      else if (entry.field === 3) value = entry.bytes().toString("latin1");
      else entry.skip();
    }
    headers.append(name, value);
  }
}

/** Header values by name in lower case. */
class HeaderTable implements RequestHeaders {
  readonly #values = new Map<string, string>();
  readonly #repeated = new Set<string>();

  /** False if the name is there already. */
  put(name: string, value: string): boolean {
    const key = name.toLowerCase();
    if (this.#values.has(key)) return false;
    this.#values.set(key, value);
    return true;
  }

  append(name: string, value: string): void {
    const key = name.toLowerCase();
    const before = this.#values.get(key);
    if (before !== undefined) this.#repeated.add(key);
    this.#values.set(key, before === undefined ? value : `${before},${value}`);
  }

  get(name: string): string | undefined {
    return this.#values.get(name);
  }

  repeated(name: string): boolean {
    return this.#repeated.has(name);
  }

  names(): Iterable<string> {
    return this.#values.keys();
  }
}
