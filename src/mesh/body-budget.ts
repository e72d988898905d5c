// How many large bodies Envoy holds before anybody knows whose they are: a token bucket in all and one per source. Pure.
// https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_filters/local_rate_limit_filter
import type { Config } from "../config-schema.ts";
import { REQUEST_SECONDS, typed } from "./values.ts";

export const BODY_BUDGET = "envoy.filters.http.local_ratelimit";
/** A body up to this long, with a Content-Length that says so, costs no token: nearly every call. */
const SMALL_BODY_BYTES = 8 * 1024;
/** What large bodies may fill of the heap; the rest is for connections, small calls and answers. */
const HEAP_PERCENT = 50;
const MAX_SOURCES = 4096;
const UNLIMITED = 4_294_967_295;

/**
 * A large body, or one of unknown length, costs a token. It is here for {@link REQUEST_SECONDS} at most, so burst and
 * refill together bound what is held at one time. One source has half of both.
 */
export function bodyBudgetFilter({ envoy, limits }: Config): object {
  const bodies = ((envoy.heapMiB * 1024 * 1024) / limits.bodyBytes) * (HEAP_PERCENT / 100);
  const large = {
    header_value_match: {
      descriptor_value: "large",
      expect_match: false,
      headers: [{ name: "content-length", range_match: { start: 0, end: SMALL_BODY_BYTES + 1 } }],
    },
  };
  const source = { masked_remote_address: { v4_prefix_mask_len: 32, v6_prefix_mask_len: 64 } };
  const largeEntry = { key: "header_match", value: "large" };
  return typed(BODY_BUDGET, "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit", {
    stat_prefix: "large_bodies",
    ...ENFORCED,
    token_bucket: bucket(UNLIMITED, UNLIMITED), // for those that match no descriptor
    always_consume_default_token_bucket: false,
    max_dynamic_descriptors: MAX_SOURCES,
    rate_limits: [{ actions: [large] }, { actions: [large, source] }],
    descriptors: [
      { entries: [largeEntry], token_bucket: bucket(bodies / 2, bodies / 2 / REQUEST_SECONDS) },
      {
        entries: [largeEntry, { key: "masked_remote_address" }],
        token_bucket: bucket(bodies / 4, bodies / 4 / REQUEST_SECONDS),
      },
    ],
  });
}

const ALWAYS = { default_value: { numerator: 100, denominator: "HUNDRED" } };
const ENFORCED = {
  filter_enabled: { ...ALWAYS, runtime_key: "large_bodies.enabled" },
  filter_enforced: { ...ALWAYS, runtime_key: "large_bodies.enforced" },
};

function bucket(tokens: number, perSecond: number): object {
  return {
    max_tokens: Math.max(1, Math.floor(tokens)),
    tokens_per_fill: Math.max(1, Math.floor(perSecond)),
    fill_interval: "1s",
  };
}
