// Decodes a CheckRequest (envoy.service.auth.v3) from bytes. Pure. A field that comes twice, a map key that comes twice and
// text that is not UTF-8 are faults (decision record 004).
// https://github.com/envoyproxy/envoy/blob/v1.40.0/api/envoy/service/auth/v3/attribute_context.proto
import type { RequestHeaders } from "../authz/types.ts";
import { headerName, HeaderTable } from "./header-table.ts";
import { checkText, FieldReader, once, WireFault } from "./protobuf.ts";

/** The fields of a CheckRequest that we read; null where the message has none. */
export interface CheckRequestFields {
  method: string;
  /** With the query. */
  path: string;
  host: string;
  headers: RequestHeaders | null;
  /** True for more header lines than a request may have; those beyond were not read. */
  tooManyHeaders: boolean;
  /** Bytes of the body as the data plane counted them; −1 from some data planes for a body that they cut. */
  size: number;
  body: Buffer | null;
  rawBody: Buffer | null;
  peer: string;
  /** Name in the peer's verified certificate. */
  principal: string;
}

/** Field numbers by message, as in protos/. */
const CHECK_REQUEST = { attributes: 1 };
const ATTRIBUTE_CONTEXT = { source: 1, request: 4 };
const PEER = { address: 1, principal: 4 };
const ADDRESS = { socketAddress: 1, pipe: 2, envoyInternalAddress: 3 };
const SOCKET_ADDRESS = { address: 2 };
const PIPE = { path: 1 };
const REQUEST = { http: 2 };
const HTTP = { method: 2, headers: 3, path: 4, host: 5, size: 9, body: 11, rawBody: 12, headerMap: 13 };
const MAP_ENTRY = { key: 1, value: 2 };
const HEADER_MAP = { headers: 1 };
const HEADER_VALUE = { key: 1, value: 2, rawValue: 3 };

/** Bits of `#seen`, for `once`: HTTP's fields by their number, the messages around it by numbers that HTTP has not. */
const SEEN = { attributes: 20, source: 21, request: 22, http: 23 };
const HTTP_ONCE = [HTTP.method, HTTP.path, HTTP.host, HTTP.size, HTTP.body, HTTP.rawBody, HTTP.headerMap].reduce(
  (bits, field) => bits | (1 << field),
  0,
);

/**
 * Decodes the bytes of a CheckRequest (envoy.service.auth.v3).
 * @throws {WireFault} for bytes that are none
 */
export function decodeCheckRequest(bytes: Buffer): CheckRequestFields {
  const decoder = new Decoder(bytes);
  decoder.message();
  return decoder.fields;
}

/** Recursive descent: one method for each message. */
class Decoder {
  readonly fields: CheckRequestFields = {
    method: "",
    path: "",
    host: "",
    headers: null,
    tooManyHeaders: false,
    size: 0,
    body: null,
    rawBody: null,
    peer: "",
    principal: "",
  };
  readonly #reader: FieldReader;
  readonly #headers: HeaderTable;
  #seen = 0;

  constructor(bytes: Buffer) {
    this.#reader = new FieldReader(bytes);
    this.#headers = new HeaderTable(bytes);
  }

  message(): void {
    const reader = this.#reader;
    while (reader.next()) {
      if (reader.field === CHECK_REQUEST.attributes) this.#once(SEEN.attributes).#attributes();
      else reader.skip();
    }
  }

  #once(field: number): this {
    this.#seen = once(this.#seen, field);
    return this;
  }

  #attributes(): void {
    const reader = this.#reader;
    const outer = reader.enter();
    while (reader.next()) {
      if (reader.field === ATTRIBUTE_CONTEXT.source) this.#once(SEEN.source).#peer();
      else if (reader.field === ATTRIBUTE_CONTEXT.request) this.#once(SEEN.request).#request();
      else reader.skip();
    }
    reader.leave(outer);
  }

  /** Peer: of its address the IP address, or the path of a pipe; and the name in its certificate. */
  #peer(): void {
    const reader = this.#reader;
    const outer = reader.enter();
    let seen = 0;
    while (reader.next()) {
      if (reader.field === PEER.address) {
        seen = once(seen, PEER.address);
        this.#address();
      } else if (reader.field === PEER.principal) {
        seen = once(seen, PEER.principal);
        this.fields.principal = reader.string();
      } else reader.skip();
    }
    reader.leave(outer);
  }

  /** Address is a oneof: with two members set, readers differ in which one they take. */
  #address(): void {
    const reader = this.#reader;
    const outer = reader.enter();
    let seen = 0;
    while (reader.next()) {
      if (reader.field <= ADDRESS.envoyInternalAddress) seen = once(seen, ADDRESS.socketAddress);
      if (reader.field === ADDRESS.socketAddress) this.#addressText(SOCKET_ADDRESS.address);
      else if (reader.field === ADDRESS.pipe) this.#addressText(PIPE.path);
      else reader.skip();
    }
    reader.leave(outer);
  }

  #addressText(field: number): void {
    const reader = this.#reader;
    const outer = reader.enter();
    let seen = 0;
    while (reader.next()) {
      if (reader.field !== field) reader.skip();
      else {
        seen = once(seen, field);
        this.fields.peer = reader.string();
      }
    }
    reader.leave(outer);
  }

  #request(): void {
    const reader = this.#reader;
    const outer = reader.enter();
    while (reader.next()) {
      if (reader.field === REQUEST.http) this.#once(SEEN.http).#http();
      else reader.skip();
    }
    reader.leave(outer);
  }

  #http(): void {
    const reader = this.#reader;
    const outer = reader.enter();
    let mapped = false;
    while (reader.next()) {
      if (reader.field !== HTTP.headers) this.#httpField();
      else {
        mapped = true;
        if (this.#headers.overflow) reader.skip();
        else this.#mapEntry();
      }
    }
    reader.leave(outer);
    const listed = (this.#seen & (1 << HTTP.headerMap)) !== 0;
    if (mapped && listed) throw new WireFault("both headers and header_map");
    this.fields.headers = mapped || listed ? this.#headers : null;
    this.fields.tooManyHeaders = this.#headers.overflow;
  }

  #httpField(): void {
    const reader = this.#reader;
    const { fields } = this;
    const { field } = reader;
    const bit = field < 31 ? 1 << field : 0;
    if ((bit & HTTP_ONCE) === 0) {
      reader.skip();
      return;
    }
    this.#once(field);
    if (field === HTTP.method) fields.method = reader.string();
    else if (field === HTTP.path) fields.path = reader.string();
    else if (field === HTTP.host) fields.host = reader.string();
    else if (field === HTTP.size) fields.size = reader.int64();
    else if (field === HTTP.body) fields.body = Buffer.from(reader.string());
    else if (field === HTTP.rawBody) fields.rawBody = reader.bytesField();
    else this.#headerMap();
  }

  /** Envoy's map form: names are unique, several lines of one name are joined already (threat model: D11). */
  #mapEntry(): void {
    const reader = this.#reader;
    const { bytes } = reader;
    const outer = reader.enter();
    let name = "";
    let start = 0;
    let end = 0;
    let seen = 0;
    while (reader.next()) {
      if (reader.field <= MAP_ENTRY.value) seen = once(seen, reader.field);
      if (reader.field === MAP_ENTRY.key) name = headerName(bytes, reader.span(), reader.at);
      else if (reader.field === MAP_ENTRY.value) {
        start = reader.span();
        end = reader.at;
        checkText(bytes, start, end);
      } else reader.skip();
    }
    reader.leave(outer);
    if (!this.#headers.put(name, { start, end, raw: false })) {
      throw new WireFault("a header name comes twice in the map");
    }
  }

  #headerMap(): void {
    const reader = this.#reader;
    const outer = reader.enter();
    while (reader.next()) {
      if (reader.field === HEADER_MAP.headers && !this.#headers.overflow) this.#headerValue();
      else reader.skip();
    }
    reader.leave(outer);
  }

  /** One line of the list form: `value` or `raw_value`. With both set, readers differ in which one they take. */
  #headerValue(): void {
    const reader = this.#reader;
    const { bytes } = reader;
    const outer = reader.enter();
    let name = "";
    let start = 0;
    let end = 0;
    let raw = false;
    let seen = 0;
    while (reader.next()) {
      const { field } = reader;
      if (field <= HEADER_VALUE.rawValue) seen = once(seen, field);
      if (field === HEADER_VALUE.key) name = headerName(bytes, reader.span(), reader.at);
      else if (field === HEADER_VALUE.value || field === HEADER_VALUE.rawValue) {
        const from = reader.span();
        if (field === HEADER_VALUE.value) checkText(bytes, from, reader.at);
        if (reader.at === from) continue;
        if (end > start) throw new WireFault("both value and raw_value");
        start = from;
        end = reader.at;
        raw = field === HEADER_VALUE.rawValue;
      } else reader.skip();
    }
    reader.leave(outer);
    this.#headers.append(name, { start, end, raw });
  }
}
