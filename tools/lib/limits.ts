// Makes the table of limits of docs/limits.md. The figures are the constants of the code where they bind; a test compares the page.
import { CHECKS } from "../../src/envoy-config/clusters.ts";
import { z } from "zod";
import { envoySchema } from "../../src/config/schema/envoy.ts";
import { limitsSchema, type Limits } from "../../src/config/schema/limits.ts";
import { MAX_CALLS_PER_SERVER } from "../../src/app/broker/relay.ts";
import { AUDIT_QUEUE } from "../../src/app/serve/serve.ts";
import { MAX_TOKEN_BYTES } from "../../src/authz/presented.ts";
import { LIMITS as CREDENTIAL_WAITS } from "../../src/authz/credential-waits.ts";
import { MAX_VALUE_BYTES } from "../../src/authz/grant.ts";
import { SMALL_BODY_BYTES } from "../../src/authz/large-bodies.ts";
import { MAX_ENTRY_BYTES } from "../../src/broker/catalog/definitions.ts";
import { MAX_ENTRIES } from "../../src/catalog/schema.ts";
import { POLICY_LIMIT_MS } from "../../src/app/serve/supervised.ts";
import { HEAP_PERCENT } from "../../src/envoy-config/body-budget.ts";
import { MAX_HEADERS, MAX_HEADERS_KIB, MAX_STREAMS, OPS_CONNECTIONS } from "../../src/envoy-config/listeners.ts";
import { PAUSE_SECONDS, REQUEST_SECONDS } from "../../src/envoy-config/values.ts";
import { MAX_LINES } from "../../src/envoy/header-table.ts";
import { MAX_BYTES as MAX_DOCUMENT_BYTES } from "../../src/http/fetch-document.ts";
import { MAX_LIFETIME_SECONDS, MAX_LIST, SKEW_SECONDS } from "../../src/identity/claims.ts";
import { UNVERIFIED } from "../../src/identity/identity.ts";
import { BYTES_PER_ENTRY } from "../../src/identity/revocations.ts";
import { MAX_PART_BYTES } from "../../src/jose/compact.ts";
import { MAX_KEYS } from "../../src/jose/key-set.ts";
import { FEW_MEMBERS as MAX_CHAIN } from "../../src/json/hash-chains.ts";
import { MAX_OTHER_NAME, MAX_OTHER_NAMES } from "../../src/json/strict-name.ts";
import { DEFAULT_LIMITS } from "../../src/json/strict-reader.ts";
import { MAX_URI } from "../../src/mcp/merged-names.ts";
import { MAX_NAME } from "../../src/mcp/read-operation.ts";
import { SLOTS } from "../../src/ops/supervisor/in-flight.ts";
import { QUARANTINE_CALLERS } from "../../src/ops/supervisor/runaways.ts";
import { MAX_SUSPENDED } from "../../src/ops/supervisor/suspensions.ts";
import { MAX_SCOPES } from "../../src/policy/decision.ts";
import { MAX_YAML_BYTES } from "../../src/policy/data.ts";
import { FREE_PAGES, PAGES } from "../../src/policy/engine.ts";
import { MAX_BYTES as MAX_POLICY_BYTES, MAX_FILES } from "../../src/policy/sources.ts";
import { LISTS } from "../../src/policy/store.ts";
import { MAX_JWS_BYTES } from "../../src/wristband/sign.ts";

/** The default of a key of `envoy`. */
function usual(key: "heapMiB" | "maxConnections"): string {
  return count(envoySchema(z.string()).parse({})[key]);
}

function count(figure: number): string {
  return figure.toLocaleString("en-US");
}

/** A limit with a key: its default, and the key. */
function keyed(key: keyof Limits, unit = count): string {
  return `${unit(limitsSchema.parse({})[key])} (\`limits.${key}\`)`;
}

function sizeOf(size: number): string {
  return size >= 1024 * 1024 ? `${size / 1024 / 1024} MiB` : `${size / 1024} KiB`;
}

/** The rows: the limited thing, its bound, and the consequence beyond it. */
const LIMITS: readonly (readonly [what: string, limit: string, beyond: string])[] = [
  ["Body of a request", keyed("bodyBytes", sizeOf), "`body_too_large`; 413 by Envoy"],
  ["Time for a request to arrive", `${REQUEST_SECONDS} s, and no pause of ${PAUSE_SECONDS} s`, "408 or 504 by Envoy"],
  [
    "Bodies over 8 KiB, or of unknown length, that arrive at one time",
    `${count(HEAP_PERCENT)} % of \`envoy.heapMiB\` in all, half of it from one source`,
    "429 by Envoy",
  ],
  ["Memory of Envoy", `\`envoy.heapMiB\`: ${usual("heapMiB")} MiB`, "the largest streams are reset, then 503"],
  ["Connections of clients", `\`envoy.maxConnections\`: ${usual("maxConnections")}`, "closed by Envoy"],
  [
    "A connection that says nothing, or does not end its TLS handshake",
    "10 s; 60 s without a request",
    "closed by Envoy",
  ],
  ["Connections to `envoy.opsListen`", count(OPS_CONNECTIONS), "closed by Envoy"],
  [
    "Calls of one caller under way at one `direct` server",
    `\`limits.callsPerCaller\`: ${limitsSchema.parse({}).callsPerCaller}`,
    "429 by Envoy",
  ],
  ["Streams of one connection", count(MAX_STREAMS), "refused by Envoy"],
  ["Checks of all callers, under way", count(CHECKS), "503 by Envoy"],
  [
    `Bodies above ${sizeOf(SMALL_BODY_BYTES)} of one caller, under way`,
    `${keyed("largeBodiesPerCaller")}, read one at a time, callers in turns`,
    "`rate_limited`",
  ],
  ["Levels of its JSON", count(DEFAULT_LIMITS.maxDepth), "`body_malformed`"],
  ["Members and elements of its JSON", count(DEFAULT_LIMITS.maxMembers), "`body_malformed`"],
  [
    "Member names in it beyond ASCII",
    `${count(MAX_OTHER_NAME)} characters each, ${count(MAX_OTHER_NAMES)} in all`,
    "`body_malformed`",
  ],
  ["Names, or values of an array, that share a hash in policy", count(MAX_CHAIN), "`body_malformed`"],
  ["Name of a tool or prompt", `${count(MAX_NAME)} of \`A-Z a-z 0-9 _ . - /\``, "`params_invalid`, `policy_denied`"],
  ["URI of a resource", `${count(MAX_URI)} characters`, "`params_invalid`"],
  ["Access token", sizeOf(MAX_TOKEN_BYTES), "`header_too_large`"],
  ["Claims in it", sizeOf(MAX_PART_BYTES), "`token_invalid`"],
  ["Groups, scopes or audiences in it", `${count(MAX_LIST)} each`, "`token_invalid`"],
  [
    "Tokens of one source address that fail verification",
    `${keyed("invalidTokensPerSecond")} each second, ten times that at once`,
    "`rate_limited`",
  ],
  [
    "Tokens that wait for their verification",
    `${count(UNVERIFIED.maxWaiting)}, ${count(UNVERIFIED.maxPerKey)} of one source address`,
    "`rate_limited`",
  ],
  [
    "Calls of one caller that wait for a credential",
    `${count(CREDENTIAL_WAITS.maxPerKey)}, ${count(CREDENTIAL_WAITS.maxActive)} of all callers`,
    "`rate_limited`",
  ],
  [
    "Lists of one caller, under way",
    `${count(LISTS.maxPerKey)}, evaluated one at a time, callers in turns`,
    "`rate_limited`",
  ],
  ["Memory for verified tokens", keyed("tokenCacheBytes", sizeOf), "verified anew"],
  ["Life of a token", `${MAX_LIFETIME_SECONDS / 3600} hours`, "`token_invalid`"],
  ["Clocks apart", `${SKEW_SECONDS} s`, "`token_expired`, `token_invalid`"],
  [
    "Request headers in all",
    `${MAX_HEADERS_KIB} KiB, ${MAX_HEADERS} of them, about 8 of Envoy's own`,
    "431 by Envoy; 502 where its own are too many",
  ],
  ["Request header lines at the Check", count(MAX_LINES), "`header_too_large`"],
  ["A credential as a header", sizeOf(MAX_VALUE_BYTES), "`credential_unavailable`"],
  ["Scopes that policy may ask for", count(MAX_SCOPES), "`policy_unavailable`"],
  ["Catalogue", `${count(MAX_ENTRIES)} of each kind per server, ${sizeOf(MAX_ENTRY_BYTES)} each`, "left out of lists"],
  ["Names of one server", keyed("serverNameBytes", sizeOf), "left out of lists"],
  ["Definitions of one server", keyed("serverDefinitionBytes", sizeOf), "left out of lists"],
  [
    "Wristband: names that one caller sees",
    `${sizeOf(MAX_JWS_BYTES)}, about 100,000 names in short form`,
    "each server has its share in lists of all; for one server `wristband_too_large`",
  ],
  ["Calls of one caller at a time, through the broker", keyed("callsPerCaller"), "`rate_limited`"],
  ["of those, at one server", count(MAX_CALLS_PER_SERVER), "`rate_limited`"],
  ["Streams of `subscriptions/listen` of one caller at a time", keyed("streamsPerCaller"), "`rate_limited`"],
  ["Bytes that the broker holds for one caller", keyed("heldBytesPerCaller", sizeOf), "waits, then `rate_limited`"],
  ["Bytes that the broker holds for all callers", keyed("heldBytes", sizeOf), "waits, then `rate_limited`"],
  ["Notifications of one call", `${keyed("notificationsPerSecond")} per second`, "dropped and counted"],
  ["Time of one decision", "`checkTimeoutMs`, and 80 % of Envoy's patience", "`deadline`"],
  [
    "One evaluation of policy",
    `${POLICY_LIMIT_MS} ms of CPU, ${(PAGES.maximum * 64) / 1024} MiB`,
    "`policy_unavailable`",
  ],
  [
    "Evaluations that run away, per caller",
    "one; or five slow ones in a minute",
    "`caller_suspended` for `limits.runawaySeconds` (60), doubled each time up to an hour",
  ],
  [
    "Callers that make one policy run away in a minute",
    `${QUARANTINE_CALLERS - 1}`,
    "`policy_unavailable` until the policy changes",
  ],
  ["Suspended callers", count(MAX_SUSPENDED), "the first ones end early"],
  ["Checks in flight, with those whose audit line waits", count(SLOTS), "`audit_unavailable`"],
  ["Policy files", `${count(MAX_FILES)}, ${sizeOf(MAX_POLICY_BYTES)}`, "not loaded"],
  ["Data of a policy in YAML", sizeOf(MAX_YAML_BYTES), "not loaded: JSON is read up to the line before"],
  [
    "Data of a policy in memory, about 15 bytes for one of JSON",
    sizeOf((PAGES.maximum - FREE_PAGES) * 64 * 1024),
    "not loaded",
  ],
  [
    "Revocations in force",
    `${keyed("revocations")}, 31 bytes of memory and ${BYTES_PER_ENTRY} of file each`,
    "`revocations_unavailable` for every token",
  ],
  ["Keys of one issuer", `${count(MAX_KEYS)}, ${sizeOf(MAX_DOCUMENT_BYTES)}`, "`keys_unavailable`"],
  ["Audit lines that wait", count(AUDIT_QUEUE), "`audit_unavailable`"],
];

export function limitsTable(): string {
  const rows = LIMITS.map(([what, limit, beyond]) => `| ${what} | ${limit} | ${beyond} |`);
  return ["| limit | | beyond it |", "|---|---|---|", ...rows].join("\n");
}
