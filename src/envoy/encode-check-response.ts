import { BackwardWriter } from "./protobuf.ts";

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
export type Metadata = Iterable<readonly [string, string]>;

const OVERWRITE_IF_EXISTS_OR_ADD = 2;

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
  if (responseHeaders.size > 0) writeHeaders(writer, 6, responseHeaders);
  for (let i = remove.length - 1; i >= 0; i -= 1) writer.string(5, remove[i] ?? "");
  writeHeaders(writer, 2, set);
  writer.message(3, mark);
  writer.message(1, writer.mark()); // google.rpc.Status with code 0
}

function writeDenied(
  writer: BackwardWriter,
  { code, http, headers, body }: Extract<CheckResponse, { kind: "denied" }>,
): void {
  const mark = writer.mark();
  writer.string(3, body);
  writeHeaders(writer, 2, headers);
  const status = writer.mark();
  writer.int32(1, http);
  writer.message(1, status);
  writer.message(2, mark);
  const rpc = writer.mark();
  writer.int32(1, code);
  writer.message(1, rpc);
}

/** Both `append: false` and the action: with neither, some versions of Envoy add a second header (M3). */
function writeHeaders(writer: BackwardWriter, field: number, headers: ReadonlyMap<string, string>): void {
  for (const [name, value] of [...headers].toReversed()) {
    const option = writer.mark();
    writer.int32(3, OVERWRITE_IF_EXISTS_OR_ADD);
    writer.message(2, writer.mark()); // BoolValue false
    const header = writer.mark();
    writer.string(2, value);
    writer.string(1, name);
    writer.message(1, header);
    writer.message(field, option);
  }
}

/** google.protobuf.Struct {mcp: {name: "value", …}}. */
function writeMetadata(writer: BackwardWriter, metadata: Metadata): void {
  const whole = writer.mark();
  for (const [name, value] of metadata) {
    const entry = writer.mark();
    writer.string(3, value); // Value.string_value
    writer.message(2, entry);
    writer.string(1, name);
    writer.message(1, entry);
  }
  writer.message(5, whole); // Value.struct_value
  writer.message(2, whole);
  writer.string(1, "mcp");
  writer.message(1, whole);
  writer.message(4, whole);
}
