// The body of a request for a policy of the form of opa-envoy-plugin: its text, `parsed_body` and `truncated_body`. Pure.
import { isUtf8 } from "node:buffer";
import { pass, refuse, type Refused, type Step } from "../../authz/step.ts";
import type { AuthzRequest, RequestHeaders } from "../../authz/types.ts";
import { DEFAULT_LIMITS, readJson } from "../../json/strict-reader.ts";
import type { JsonObject, JsonValue } from "../../json/types.ts";
import { readFormData } from "./form-data.ts";
import { mediaOf } from "./media-type.ts";
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
 * Reads the body by its `content-type`: in one reading, or not at all.
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
  const parsed = parse(buffer, text, headers);
  return parsed.ok ? pass({ raw, parsed: parsed.value, truncated: false }) : parsed;
}

function parse(bytes: Buffer, text: string | null, headers: RequestHeaders): Step<JsonValue> {
  const type = headers.get("content-type") ?? "";
  const media = mediaOf(type);
  if (media === null) return malformed("a content-type that programs read differently");
  if (media === "other") return pass(null);
  if (!/^identity$/i.test(headers.get("content-encoding") ?? "identity"))
    return malformed("a content-encoding: what is in the body is not read");
  if (media === "json") {
    const read = readJson(bytes, { ...DEFAULT_LIMITS, oneReading: true });
    return read.ok ? pass(read.value) : malformed(read.detail);
  }
  if (media === "form") return found(text === null ? null : parseForm(text), "no form of names and values");
  return found(readFormData(bytes, type), "no form of parts");
}

/** Some programs drop a byte order mark, which is a part of the first name to others. */
function parseForm(text: string): JsonObject | null {
  return text.startsWith("\ufeff") ? null : parseQuery(text);
}

/** The field of a form that names the encoding of all others (RFC 7578 §4.6). */
const CHARSET = "_charset_";

function found(value: JsonObject | null, fault: string): Step<JsonValue> {
  if (value === null) return malformed(fault);
  const charsets = value[CHARSET] ?? [];
  const isUtf8Alone =
    Array.isArray(charsets) && charsets.every((one) => typeof one === "string" && /^utf-8$/i.test(one));
  return isUtf8Alone ? pass(value) : malformed("a form of another encoding");
}
