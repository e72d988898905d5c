import { FieldReader, FieldWriter } from "./protobuf.ts";

/** A CheckResponse as data. The union has no member with status 0 but `ok`. */
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

/** Dynamic metadata `mcp` (design 4.5). */
export type Metadata = ReadonlyMap<string, string>;

const OVERWRITE_IF_EXISTS_OR_ADD = 2;

export function encodeCheckResponse(response: CheckResponse): Buffer {
  const message = new FieldWriter(1024);
  if (response.kind === "ok") {
    message.bytes(1, new Uint8Array(0)); // google.rpc.Status with code 0
    message.bytes(3, okResponse(response.set, response.remove, response.responseHeaders));
  } else {
    const status = new FieldWriter(16);
    status.int32(1, response.code);
    message.bytes(1, status.finish());
    message.bytes(2, deniedResponse(response.http, response.headers, response.body));
  }
  message.bytes(4, metadataStruct(response.metadata));
  return message.finish();
}

function okResponse(
  set: ReadonlyMap<string, string>,
  remove: readonly string[],
  response: ReadonlyMap<string, string>,
): Buffer {
  const message = new FieldWriter(1024);
  for (const [name, value] of set) message.bytes(2, headerOption(name, value));
  for (const name of remove) message.string(5, name);
  for (const [name, value] of response) message.bytes(6, headerOption(name, value));
  return message.finish();
}

function deniedResponse(http: number, headers: ReadonlyMap<string, string>, body: string): Buffer {
  const message = new FieldWriter(1024);
  const status = new FieldWriter(16);
  status.int32(1, http);
  message.bytes(1, status.finish());
  for (const [name, value] of headers) message.bytes(2, headerOption(name, value));
  message.string(3, body);
  return message.finish();
}

/** Both `append: false` and the action: with neither, some versions of Envoy add a second header (M3). */
function headerOption(name: string, value: string): Buffer {
  const header = new FieldWriter(name.length + value.length + 24);
  header.string(1, name);
  header.string(2, value);
  const option = new FieldWriter(name.length + value.length + 48);
  option.bytes(1, header.finish());
  option.bytes(2, new Uint8Array(0)); // BoolValue false
  option.int32(3, OVERWRITE_IF_EXISTS_OR_ADD);
  return option.finish();
}

/** google.protobuf.Struct {mcp: {name: "value", …}}. */
function metadataStruct(metadata: Metadata): Buffer {
  const inner = new FieldWriter();
  for (const [name, value] of metadata) {
    const string = new FieldWriter(value.length + 16);
    string.string(3, value);
    inner.bytes(1, mapEntry(name, string.finish()));
  }
  const struct = new FieldWriter();
  struct.bytes(5, inner.finish());
  const outer = new FieldWriter();
  outer.bytes(1, mapEntry("mcp", struct.finish()));
  return outer.finish();
}

function mapEntry(name: string, value: Uint8Array): Buffer {
  const entry = new FieldWriter(name.length + value.length + 16);
  entry.string(1, name);
  entry.bytes(2, value);
  return entry.finish();
}

/** What the bytes say, as a client reads them. */
export interface Sent {
  readonly code: number;
  readonly hasOk: boolean;
  readonly hasDenied: boolean;
  readonly http: number;
  readonly set: readonly (readonly [string, string])[];
  readonly remove: readonly string[];
}

/** Reads our own bytes back, independently of what they were made from. */
export function decodeCheckResponse(bytes: Buffer): Sent {
  const sent = {
    code: 0,
    hasOk: false,
    hasDenied: false,
    http: 0,
    set: [] as [string, string][],
    remove: [] as string[],
  };
  const message = new FieldReader(bytes);
  while (message.next()) {
    if (message.field === 1) sent.code = intField(message.message());
    else if (message.field === 2) {
      sent.hasDenied = true;
      decodeDenied(message.message(), sent);
    } else if (message.field === 3) {
      sent.hasOk = true;
      decodeOk(message.message(), sent);
    } else message.skip();
  }
  return sent;
}

function decodeDenied(message: FieldReader, sent: { http: number }): void {
  while (message.next()) {
    if (message.field === 1) sent.http = intField(message.message());
    else message.skip();
  }
}

function decodeOk(message: FieldReader, sent: { set: [string, string][]; remove: string[] }): void {
  while (message.next()) {
    if (message.field === 2) sent.set.push(decodeHeader(message.message()));
    else if (message.field === 5) sent.remove.push(message.string());
    else message.skip();
  }
}

function decodeHeader(option: FieldReader): [string, string] {
  let name = "";
  let value = "";
  while (option.next()) {
    if (option.field !== 1) {
      option.skip();
      continue;
    }
    const header = option.message();
    while (header.next()) {
      if (header.field === 1) name = header.string();
      else if (header.field === 2) value = header.string();
      else header.skip();
    }
  }
  return [name, value];
}

function intField(message: FieldReader): number {
  let value = 0;
  while (message.next()) {
    if (message.field === 1) value = message.int32();
    else message.skip();
  }
  return value;
}
