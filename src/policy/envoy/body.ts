// The body of a request for a policy of the form of opa-envoy-plugin: its text, `parsed_body` and `truncated_body`. Pure.
import { isUtf8 } from "node:buffer";
import { pass, refuse, type Refused, type Step } from "../../authz/step.ts";
import type { AuthzRequest } from "../../authz/types.ts";
import { DEFAULT_LIMITS, readJson } from "../../json/strict-reader.ts";
import type { JsonObject, JsonValue } from "../../json/types.ts";
import { readFormData } from "./form-data.ts";
import { parseQuery } from "./query.ts";

export interface DescribedBody {
  /** For `attributes.request.http`: the body as text, and in Base64 where the data plane sent bytes. */
  readonly raw: JsonObject;
  /** Null for none, and for a media type that is not parsed. */
  readonly parsed: JsonValue;
  readonly truncated: boolean;
}

const NO_BODY: DescribedBody = { raw: {}, parsed: null, truncated: false };
const CUT: DescribedBody = { ...NO_BODY, truncated: true };

function malformed(detail: string): Refused {
  return { ...refuse("body_malformed", detail), about: detail };
}

/**
 * Reads the body by what its `content-type` holds, in any case.
 * @param takesCut what to do with a body that is not whole: refuse it, or say so to policy
 */
export function describeBody({ body, headers }: AuthzRequest, takesCut: boolean): Step<DescribedBody> {
  if (body.kind === "none") return pass(NO_BODY);
  if (body.kind === "partial") return takesCut ? pass(CUT) : refuse("body_too_large", "partial");
  const { bytes } = body;
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = isUtf8(buffer) ? buffer.toString("utf8") : null;
  if (body.kind === "text" && text?.includes("\ufffd") === true)
    return refuse("body_malformed", "the body came as text and holds U+FFFD: set pack_as_bytes");
  const raw = {
    ...(text !== null && { body: text }),
    ...(body.kind === "bytes" && { rawBody: buffer.toString("base64") }),
  };
  const parsed = parse(buffer, text, headers.get("content-type") ?? "");
  return parsed.ok ? pass({ raw, parsed: parsed.value, truncated: false }) : parsed;
}

function parse(bytes: Buffer, text: string | null, contentType: string): Step<JsonValue> {
  const type = contentType.toLowerCase();
  if (type.includes("application/json")) {
    const read = readJson(bytes, { ...DEFAULT_LIMITS, oneReading: true });
    return read.ok ? pass(read.value) : malformed(read.detail);
  }
  if (type.includes("application/x-www-form-urlencoded"))
    return found(text === null ? null : parseQuery(text), "no form of names and values");
  if (type.includes("multipart/form-data")) return found(readFormData(bytes, contentType), "no form of parts");
  return pass(null);
}

function found(value: JsonObject | null, fault: string): Step<JsonValue> {
  return value === null ? malformed(fault) : pass(value);
}
