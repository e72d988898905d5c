// The seam between the handler and a wire stack's protobuf codec (decision record 011). Pure.
import { decodeCheckRequest, type CheckRequestFields } from "./decode-check-request.ts";
import { encodeCheckResponse, type CheckResponse } from "./encode-check-response.ts";

export interface CheckCodec {
  /** @throws {WireFault} for bytes that are no CheckRequest, or that two readers could read differently */
  readonly decode: (bytes: Buffer) => CheckRequestFields;
  readonly encode: (response: CheckResponse) => Buffer;
}

/** Our own codec (decision record 004). */
export const CHECK_CODEC: CheckCodec = { decode: decodeCheckRequest, encode: encodeCheckResponse };
