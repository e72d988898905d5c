// Encodes agentgateway's McpRequestResult and McpResponseResult, and reads them back before they leave. Pure.
// https://github.com/agentgateway/agentgateway/blob/main/crates/protos/proto/ext_mcp.proto
import { BackwardWriter, FieldReader } from "../envoy/protobuf.ts";

/** AuthorizationError.Code; the gateway makes a JSON-RPC code of each. */
export const CODE = { unknown: 0, permissionDenied: 1, resourceExhausted: 2, invalid: 3 } as const;

export type McpResult =
  | {
      readonly kind: "pass";
      readonly set: ReadonlyMap<string, string>;
      readonly remove: readonly string[];
      /** Texts that the gateway keeps with the request. */
      readonly metadata: ReadonlyMap<string, string>;
    }
  /** Of a response: the `result` that its client gets. */
  | { readonly kind: "mutated"; readonly json: string }
  | {
      readonly kind: "error";
      readonly code: (typeof CODE)[keyof typeof CODE];
      /** The message that the client gets. */
      readonly message: string;
      /** JSON of the error's `data`. */
      readonly data: string;
    };

/** Field numbers by message, as in protos/: the same in both results. */
const RESULT = { pass: 1, mutated: 2, error: 3, headerMutation: 4, metadata: 5 };
const ERROR = { code: 1, reason: 2, mcpError: 3 };
const MUTATION = { set: 1, remove: 2 };
const HEADER = { key: 1, value: 2 };
const STRUCT = { fields: 1 };
const MAP_ENTRY = { key: 1, value: 2 };
const VALUE = { stringValue: 3 };

/** The writer goes backwards, so the fields stand here in reverse order. */
export function encodeResult(result: McpResult): Buffer {
  const writer = new BackwardWriter();
  if (result.kind === "pass") writePass(writer, result);
  else if (result.kind === "mutated") writer.string(RESULT.mutated, result.json);
  else {
    writer.string(ERROR.mcpError, result.data);
    writer.string(ERROR.reason, result.message);
    if (result.code !== CODE.unknown) writer.int32(ERROR.code, result.code);
    writer.message(RESULT.error, 0);
  }
  return writer.finish();
}

function writePass(
  writer: BackwardWriter,
  { set, remove, metadata }: Extract<McpResult, { readonly kind: "pass" }>,
): void {
  if (metadata.size > 0) writeStruct(writer, metadata);
  if (set.size > 0 || remove.length > 0) {
    const mark = writer.mark();
    for (const name of remove.toReversed()) writer.string(MUTATION.remove, name);
    for (const [name, value] of [...set].toReversed()) {
      const header = writer.mark();
      writer.string(HEADER.value, value);
      writer.string(HEADER.key, name);
      writer.message(MUTATION.set, header);
    }
    writer.message(RESULT.headerMutation, mark);
  }
  writer.message(RESULT.pass, writer.mark());
}

function writeStruct(writer: BackwardWriter, metadata: ReadonlyMap<string, string>): void {
  const whole = writer.mark();
  for (const [name, value] of metadata) {
    const entry = writer.mark();
    writer.string(VALUE.stringValue, value);
    writer.message(MAP_ENTRY.value, entry);
    writer.string(MAP_ENTRY.key, name);
    writer.message(STRUCT.fields, entry);
  }
  writer.message(RESULT.metadata, whole);
}

/**
 * True if `error` is the only member of the result. The gateway applies its failureMode to a result with none, and takes the
 * last of several.
 * @throws {WireFault} for bytes that are no message
 */
export function isError(bytes: Buffer): boolean {
  return fieldsOf(bytes).join() === String(RESULT.error);
}

/** True for bytes that let a request or an answer through. @throws {WireFault} for bytes that are no message */
export function isPass(bytes: Buffer): boolean {
  const [first, ...rest] = fieldsOf(bytes);
  if (first === RESULT.mutated) return rest.length === 0;
  return first === RESULT.pass && rest.every((field, i) => field > (rest[i - 1] ?? RESULT.error));
}

function fieldsOf(bytes: Buffer): number[] {
  const reader = new FieldReader(bytes);
  const fields: number[] = [];
  while (reader.next()) {
    fields.push(reader.field);
    reader.skip();
  }
  return fields;
}
