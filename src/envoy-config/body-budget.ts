// Bounds the large bodies that Envoy buffers before a token is verified: a token bucket in all and one per source. Pure.
// https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_filters/local_rate_limit_filter
import type { Config } from "../config/schema.ts";
import { PAUSE_SECONDS, REQUEST_SECONDS, typed, UNLIMITED } from "./values.ts";

export const BODY_BUDGET = "envoy.filters.http.local_ratelimit";
/** A body up to this long, with a Content-Length that says so, costs nothing: nearly every call. */
const SMALL_BODY_BYTES = 8 * 1024;
/** Share of the heap that large bodies may fill; the rest is for connections, small calls and responses. */
export const HEAP_PERCENT = 50;
const MAX_SOURCES = 4096;

/**
 * A large body costs a token for each byte that it announces, one of unknown length as many as a body may have. It is here
 * for {@link REQUEST_SECONDS} at most, so burst and refill together bound what is held at one time. One source has half of
 * both.
 */
export function bodyBudgetFilter({ envoy, limits }: Config): object {
  const bytes = envoy.heapMiB * 1024 * 1024 * (HEAP_PERCENT / 100);
  const announced = { format: "%REQ(CONTENT-LENGTH)%" };
  const unknown = { number: limits.bodyBytes };
  return typed(BODY_BUDGET, "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit", {
    stat_prefix: "large_bodies",
    ...ENFORCED,
    token_bucket: bucket(UNLIMITED, UNLIMITED), // of requests that match no descriptor
    always_consume_default_token_bucket: false,
    max_dynamic_descriptors: MAX_SOURCES,
    rate_limits: [
      { actions: [ANNOUNCED], hits_addend: announced },
      { actions: [ANNOUNCED, SOURCE], hits_addend: announced },
      { actions: [UNKNOWN], hits_addend: unknown },
      { actions: [UNKNOWN, SOURCE], hits_addend: unknown },
      { actions: [HEADERS, SOURCE], hits_addend: { format: "%REQUEST_HEADERS_BYTES%" } },
    ],
    descriptors: [
      { entries: [LARGE], token_bucket: bucket(bytes / 2, bytes / 2 / REQUEST_SECONDS) },
      {
        entries: [LARGE, ANY_SOURCE],
        token_bucket: bucket(bytes / 4, bytes / 4 / REQUEST_SECONDS),
      },
      // In HTTP/2, 20 bytes can say 60 KiB of headers, which are held while the body of the request is. A source has so many
      // that thousands of usual calls a second pass.
      {
        entries: [{ key: "generic_key", value: "headers" }, ANY_SOURCE],
        token_bucket: bucket(bytes / 4, bytes / 4 / PAUSE_SECONDS),
      },
    ],
  });
}

const LARGE = { key: "header_match", value: "large" };
const HEADERS = { generic_key: { descriptor_value: "headers" } };
const ANY_SOURCE = { key: "masked_remote_address" };
const SOURCE = { masked_remote_address: { v4_prefix_mask_len: 32, v6_prefix_mask_len: 64 } };

/** Adds the descriptor of a large body where the header says this. */
function largeWhere(matcher: object): object {
  return {
    header_value_match: { descriptor_value: LARGE.value, headers: [{ name: "content-length", ...matcher }] },
  };
}

const ANNOUNCED = largeWhere({ range_match: { start: SMALL_BODY_BYTES + 1, end: Number.MAX_SAFE_INTEGER } });
/** No Content-Length, or one that is no number. */
const UNKNOWN = largeWhere({ string_match: { safe_regex: { regex: "[0-9]{1,15}" } }, invert_match: true });

const ALWAYS = { default_value: { numerator: 100, denominator: "HUNDRED" } };
const ENFORCED = {
  filter_enabled: { ...ALWAYS, runtime_key: "large_bodies.enabled" },
  filter_enforced: { ...ALWAYS, runtime_key: "large_bodies.enforced" },
};

function bucket(tokens: number, perSecond: number): object {
  return {
    max_tokens: Math.min(UNLIMITED, Math.floor(tokens)),
    tokens_per_fill: Math.min(UNLIMITED, Math.floor(perSecond)),
    fill_interval: "1s",
  };
}
