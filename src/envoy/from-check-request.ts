// A Check's bytes as a request of the pipeline. Pure.
import { pass, refuse, type Step } from "../authz/step.ts";
import type { AuthzRequest, RequestBody } from "../authz/types.ts";
import { readAttributes } from "./attributes.ts";
import type { CheckCodec } from "./check-codec.ts";
import type { CheckRequestFields } from "./decode-check-request.ts";
import { WireFault } from "./protobuf.ts";

/** Bytes that are no HTTP Check are a refusal: a gRPC error would follow the mesh's `failure_mode_allow`. */
export function fromCheckRequest(bytes: Buffer, decode: CheckCodec["decode"]): Step<AuthzRequest> {
  let fields: CheckRequestFields;
  try {
    fields = decode(bytes);
  } catch (error) {
    if (error instanceof WireFault) return refuse("header_malformed", `CheckRequest: ${error.message}`);
    throw error;
  }
  const { method, path, host, headers } = fields;
  if (headers === null || method === "" || path === "" || host === "") {
    return refuse("header_malformed", "CheckRequest lacks headers, method, path or host");
  }
  if (fields.tooManyHeaders) return refuse("header_too_large", "too many headers");
  if (fields.body !== null && fields.rawBody !== null) return refuse("body_malformed", "both body and raw_body");
  const cut = path.indexOf("?");
  return pass({
    method,
    path: cut === -1 ? path : path.slice(0, cut),
    query: cut === -1 ? null : path.slice(cut + 1),
    host,
    headers,
    body: bodyOf(fields, headers.get("x-envoy-auth-partial-body"), headers.get("content-length")),
    peer: fields.peer,
    principal: fields.principal,
    attributes: () => readAttributes(bytes),
  });
}

/**
 * `partial` unless the whole body is here (threat model: M12). Envoy says so in a header that it writes itself. From other
 * data planes, `size` must be the number of bytes that they sent.
 */
function bodyOf(
  fields: CheckRequestFields,
  partial: string | undefined,
  contentLength: string | undefined,
): RequestBody {
  const bytes = fields.rawBody ?? fields.body;
  if (!isWhole(fields.size, bytes?.length ?? 0, partial)) return { kind: "partial" };
  if (bytes === null || bytes.length === 0) return { kind: "none" };
  if (contentLength !== undefined && contentLength !== String(bytes.length)) return { kind: "partial" };
  return fields.rawBody === null ? { kind: "text", bytes } : { kind: "bytes", bytes };
}

function isWhole(size: number, received: number, partial: string | undefined): boolean {
  if (size < 0) return false; // agentgateway's word for a body that it cut; the header beside it is the client's own
  if (partial === undefined) return size === received;
  // The header may come several times: each copy must say "false".
  return size <= received && partial.split(",").every((copy) => copy.trim() === "false");
}
