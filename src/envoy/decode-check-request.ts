import type { RequestHeaders } from "../authz/types.ts";
import { headerName, HeaderTable } from "./header-table.ts";
import { checkText, FieldReader, once, WireFault } from "./protobuf.ts";

/** The fields of a CheckRequest that we read; null where the message has none. Field numbers: protos/. */
export interface CheckRequestFields {
  method: string;
  /** With the query. */
  path: string;
  host: string;
  headers: RequestHeaders | null;
  /** There were more header lines than a request may have; those beyond were not read. */
  tooManyHeaders: boolean;
  /** As the data plane counts the body; −1 for a body that was cut, with some. */
  size: number;
  body: Buffer | null;
  rawBody: Buffer | null;
  peer: string;
}

/** Singular fields of the messages that come once, by their bit; those of `http` have the bit of their number. */
const ATTRIBUTES = 20;
const SOURCE = 21;
const REQUEST = 22;
const HTTP = 23;
const HEADER_MAP = 1 << 13;
const HTTP_FIELDS = (1 << 2) | (1 << 4) | (1 << 5) | (1 << 9) | (1 << 11) | (1 << 12) | HEADER_MAP;

/**
 * Decodes the bytes of a CheckRequest (envoy.service.auth.v3).
 * @throws {WireFault} for bytes that are none
 */
export function decodeCheckRequest(bytes: Buffer): CheckRequestFields {
  const decoder = new Decoder(bytes);
  decoder.message();
  return decoder.fields;
}

/** Reads from the outside to the inside; each method walks one kind of message. */
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
      if (reader.field === 1) this.#once(ATTRIBUTES).#attributes();
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
      if (reader.field === 1) this.#once(SOURCE).#peer();
      else if (reader.field === 4) this.#once(REQUEST).#request();
      else reader.skip();
    }
    reader.leave(outer);
  }

  /** The address of Peer.address.socket_address, or of a pipe. */
  #peer(): void {
    const reader = this.#reader;
    const outer = reader.enter();
    let seen = 0;
    while (reader.next()) {
      if (reader.field !== 1) reader.skip();
      else {
        seen = once(seen, 1);
        this.#address();
      }
    }
    reader.leave(outer);
  }

  /** One of several kinds: of two, each reader would take another one. */
  #address(): void {
    const reader = this.#reader;
    const outer = reader.enter();
    let seen = 0;
    while (reader.next()) {
      if (reader.field <= 3) seen = once(seen, 1);
      if (reader.field === 1) this.#addressText(2);
      else if (reader.field === 2) this.#addressText(1);
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
      if (reader.field === 2) this.#once(HTTP).#http();
      else reader.skip();
    }
    reader.leave(outer);
  }

  #http(): void {
    const reader = this.#reader;
    const outer = reader.enter();
    let mapped = false;
    while (reader.next()) {
      if (reader.field !== 3) this.#httpField();
      else {
        mapped = true;
        if (this.#headers.overflow) reader.skip();
        else this.#mapEntry();
      }
    }
    reader.leave(outer);
    const listed = (this.#seen & HEADER_MAP) !== 0;
    if (mapped && listed) throw new WireFault("both headers and header_map");
    this.fields.headers = mapped || listed ? this.#headers : null;
    this.fields.tooManyHeaders = this.#headers.overflow;
  }

  #httpField(): void {
    const reader = this.#reader;
    const { fields } = this;
    const bit = reader.field < 31 ? 1 << reader.field : 0;
    if ((bit & HTTP_FIELDS) === 0) {
      reader.skip();
      return;
    }
    this.#once(reader.field);
    if (reader.field === 2) fields.method = reader.string();
    else if (reader.field === 4) fields.path = reader.string();
    else if (reader.field === 5) fields.host = reader.string();
    else if (reader.field === 9) fields.size = reader.int64();
    else if (reader.field === 11) fields.body = Buffer.from(reader.string());
    else if (reader.field === 12) fields.rawBody = reader.bytesField();
    else this.#headerMap();
  }

  /** Envoy's map form: names are unique, the values of several lines already joined (threat row D11). */
  #mapEntry(): void {
    const reader = this.#reader;
    const { bytes } = reader;
    const outer = reader.enter();
    let name = "";
    let start = 0;
    let end = 0;
    let seen = 0;
    while (reader.next()) {
      if (reader.field <= 2) seen = once(seen, reader.field);
      if (reader.field === 1) name = headerName(bytes, reader.span(), reader.at);
      else if (reader.field === 2) {
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
      if (reader.field === 1 && !this.#headers.overflow) this.#headerValue();
      else reader.skip();
    }
    reader.leave(outer);
  }

  /** One line of the list form: `value` or `raw_value`. With both, readers differ in which one they take. */
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
      if (field <= 3) seen = once(seen, field);
      if (field === 1) name = headerName(bytes, reader.span(), reader.at);
      else if (field === 2 || field === 3) {
        const from = reader.span();
        if (field === 2) checkText(bytes, from, reader.at);
        if (reader.at === from) continue;
        if (end > start) throw new WireFault("both value and raw_value");
        start = from;
        end = reader.at;
        raw = field === 3;
      } else reader.skip();
    }
    reader.leave(outer);
    this.#headers.append(name, { start, end, raw });
  }
}
