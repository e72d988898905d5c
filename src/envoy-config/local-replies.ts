// Envoy's own responses as JSON-RPC, and the access log. Pure.
// https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_conn_man/local_reply
import { REFUSALS } from "../authz/refusal.ts";
import type { Config } from "../config/schema.ts";
import { EXT_AUTHZ, typed } from "./values.ts";

const BUSY = "Too many calls at a time, try again later";
const RETRY = {
  headers_to_add: [{ header: { key: "retry-after", value: "1" }, append_action: "ADD_IF_ABSENT" }],
};

function body(code: number, message: string, data?: object): object {
  const error = { code, message, ...(data !== undefined && { data }) };
  return { body_format_override: { json_format: { jsonrpc: "2.0", id: null, error } } };
}

/** What a sender who knows it can heed, in the form of `authz/refusal-response.ts`. */
function bodyTooLarge({ limits: { bodyBytes: limitBytes } }: Config): object {
  const message = `${REFUSALS.body_too_large.message} (limit: ${limitBytes} bytes)`;
  return body(413, message, { reason: "body_too_large", limitBytes });
}

/** Gives Envoy's own refusals a JSON-RPC body. Refusals of serve have theirs, and are told apart by their metadata. */
export function localReplies(config: Config): object {
  // decision=allow: the upstream failed after an allow. No metadata: serve did not answer.
  const isEnvoys = {
    metadata_filter: {
      matcher: {
        filter: EXT_AUTHZ,
        path: [{ key: "mcp" }, { key: "decision" }],
        value: { string_match: { exact: "allow" } },
      },
      match_if_key_not_found: true,
    },
  };
  const status = (code: number) => ({
    status_code_filter: {
      comparison: { op: "EQ", value: { default_value: code, runtime_key: `local_reply.${code}` } },
    },
  });
  const mapper = (code: number, message: string, retry: boolean) => ({
    filter: { and_filter: { filters: [status(code), isEnvoys] } },
    ...(retry && RETRY),
    ...body(code, message),
  });
  return {
    mappers: [
      {
        // UO, upstream overflow: a circuit breaker of a caller's shard or of the broker is open.
        filter: { response_flag_filter: { flags: ["UO"] } },
        status_code: 429,
        ...body(429, BUSY),
        ...RETRY,
      },
      { filter: { and_filter: { filters: [status(413), isEnvoys] } }, ...bodyTooLarge(config) },
      mapper(429, BUSY, true),
      mapper(500, "The gateway could not take in the answer of the server", false), // larger than an error may be, for one
      mapper(502, "The server behind the gateway failed or cannot be reached, try again later", false),
      mapper(503, "Authorization or the server is not available at the moment, try again later", true),
      mapper(504, REFUSALS.upstream_timeout.message, false),
    ],
  };
}

/** What each data plane of ours logs of a request: no query, no credentials. */
export const ACCESS_FIELDS = {
  time: "%START_TIME%",
  request_id: "%REQ(X-REQUEST-ID)%",
  method: "%REQ(:METHOD)%",
  path: "%PATH(NQ)%",
  protocol: "%PROTOCOL%",
  code: "%RESPONSE_CODE%",
  details: "%RESPONSE_CODE_DETAILS%",
  flags: "%RESPONSE_FLAGS%",
  received: "%BYTES_RECEIVED%",
  sent: "%BYTES_SENT%",
  ms: "%DURATION%",
  cluster: "%UPSTREAM_CLUSTER%",
  client: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
} as const;

/** One JSON line per request: the decision by its named fields, no query, no credentials. */
export function accessLog(): object {
  const fact = (name: string) => `%DYNAMIC_METADATA(${EXT_AUTHZ}:mcp:${name})%`;
  return typed("envoy.access_loggers.stdout", "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog", {
    log_format: {
      json_format: {
        ...ACCESS_FIELDS,
        decision: fact("decision"),
        reason: fact("reason"),
        route: fact("route"),
        subject: fact("subject"),
        server: fact("server"),
        name: fact("name"),
        authz_us: `%FILTER_STATE(${EXT_AUTHZ}:FIELD:latency_us)%`,
      },
    },
  });
}
