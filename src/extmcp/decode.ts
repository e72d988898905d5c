// Decodes agentgateway's McpRequest and McpResponse from bytes. Pure. A field that comes twice, a key that comes twice and text that is
// not UTF-8 are faults, as in a CheckRequest.
// https://github.com/agentgateway/agentgateway/blob/main/crates/protos/proto/ext_mcp.proto
import { headerName, HeaderTable } from "../envoy/header-table.ts";
import { FieldReader, once, WireFault } from "../envoy/protobuf.ts";
import { readTexts } from "../envoy/struct.ts";

/** The fields that requests and responses have in common. */
export interface McpMessage {
  /** Names of the gateway's targets. */
  readonly services: readonly string[];
  readonly method: string;
  /** Texts of the metadata that the gateway's configuration computes; values of other kinds mean nothing to us. */
  readonly metadata: ReadonlyMap<string, string | null>;
  /** JSON of `params`, or of the `result`; null for a request without. */
  readonly json: Buffer | null;
  /** Of a request; empty in a response. */
  readonly headers: HeaderTable;
}

/** Field numbers by message, as in protos/. */
const FIELD = { serviceNames: 1, method: 2, metadataContext: 3, json: 4, headers: 5 };
const HEADER = { key: 1, value: 2 };
const NO_METADATA: McpMessage["metadata"] = new Map();
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
  let metadata: McpMessage["metadata"] = NO_METADATA;
  let method = "";
  let json: Buffer | null = null;
  let seen = 0;
  while (reader.next()) {
    const { field } = reader;
    if (field >= FIELD.method && field <= FIELD.json) seen = once(seen, field);
    if (field === FIELD.serviceNames) services.push(reader.string());
    else if (field === FIELD.method) method = reader.string();
    else if (field === FIELD.metadataContext) metadata = readTexts(reader);
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
