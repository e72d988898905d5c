// Decodes agentgateway's McpRequest and McpResponse from bytes. Pure. A field that comes twice, a key that comes twice and text that is
// not UTF-8 are faults, as in a CheckRequest.
// https://github.com/agentgateway/agentgateway/blob/main/crates/protos/proto/ext_mcp.proto
import { headerName, HeaderTable } from "../envoy/header-table.ts";
import { FieldReader, once, WireFault } from "../envoy/protobuf.ts";

/** The fields that requests and responses have in common. */
export interface McpMessage {
  /** Names of the gateway's targets. */
  readonly services: readonly string[];
  readonly method: string;
  /** Texts of the metadata that the gateway's configuration computes. */
  readonly metadata: ReadonlyMap<string, string>;
  /** JSON of `params`, or of the `result`; null for a request without. */
  readonly json: Buffer | null;
  /** Of a request; empty in a response. */
  readonly headers: HeaderTable;
}

/** Field numbers by message, as in protos/. */
const FIELD = { serviceNames: 1, method: 2, metadataContext: 3, json: 4, headers: 5 };
const HEADER = { key: 1, value: 2 };
const STRUCT = { fields: 1 };
const MAP_ENTRY = { key: 1, value: 2 };
const VALUE = { stringValue: 3 };
/** Targets of one gateway: each is looked up. */
const MAX_SERVICES = 256;

/**
 * Decodes the bytes of an McpRequest, or of an McpResponse, which has no headers.
 * @throws {WireFault} for bytes that are none
 */
export function decodeMcp(bytes: Buffer): McpMessage {
  const reader = new FieldReader(bytes);
  const services: string[] = [];
  const headers = new HeaderTable(bytes);
  const metadata = new Map<string, string>();
  let method = "";
  let json: Buffer | null = null;
  let seen = 0;
  while (reader.next()) {
    const { field } = reader;
    if (field >= FIELD.method && field <= FIELD.json) seen = once(seen, field);
    if (field === FIELD.serviceNames) services.push(reader.string());
    else if (field === FIELD.method) method = reader.string();
    else if (field === FIELD.metadataContext) readStruct(reader, metadata);
    else if (field === FIELD.json) json = reader.bytesField();
    else if (field === FIELD.headers && !headers.overflow) readHeader(reader, headers);
    else reader.skip();
    if (services.length > MAX_SERVICES) throw new WireFault("too many services");
  }
  return { services, method, metadata, json, headers };
}

function readHeader(reader: FieldReader, headers: HeaderTable): void {
  const outer = reader.enter();
  let name = "";
  let start = 0;
  let end = 0;
  let seen = 0;
  while (reader.next()) {
    if (reader.field <= HEADER.value) seen = once(seen, reader.field);
    if (reader.field === HEADER.key) name = headerName(reader.bytes, reader.span(), reader.at);
    else if (reader.field === HEADER.value) {
      start = reader.span();
      end = reader.at;
    } else reader.skip();
  }
  reader.leave(outer);
  headers.append(name, { start, end, raw: true });
}

/** The texts of a google.protobuf.Struct; values of other kinds mean nothing to us. */
function readStruct(reader: FieldReader, texts: Map<string, string>): void {
  const outer = reader.enter();
  const names = new Set<string>();
  while (reader.next()) {
    if (reader.field !== STRUCT.fields) reader.skip();
    else {
      const [name, value] = readEntry(reader);
      if (names.has(name)) throw new WireFault("a name comes twice in the metadata");
      names.add(name);
      if (value !== null) texts.set(name, value);
    }
  }
  reader.leave(outer);
}

function readEntry(reader: FieldReader): readonly [string, string | null] {
  const outer = reader.enter();
  let name = "";
  let value: string | null = null;
  let seen = 0;
  while (reader.next()) {
    if (reader.field <= MAP_ENTRY.value) seen = once(seen, reader.field);
    if (reader.field === MAP_ENTRY.key) name = reader.string();
    else if (reader.field === MAP_ENTRY.value) value = textOf(reader);
    else reader.skip();
  }
  reader.leave(outer);
  return [name, value];
}

/** A Value is a oneof: with two members set, readers differ in which one they take. */
function textOf(reader: FieldReader): string | null {
  const outer = reader.enter();
  let text: string | null = null;
  let members = 0;
  while (reader.next()) {
    members += 1;
    if (members > 1) throw new WireFault("two values in one");
    if (reader.field === VALUE.stringValue) text = reader.string();
    else reader.skip();
  }
  reader.leave(outer);
  return text;
}
