// Makes the table of limits of docs/limits.md. The figures are read from the code where they bind; a test compares the page.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { z } from "zod";
import { envoySchema } from "../../src/config/schema/envoy.ts";
import { limitsSchema, type Limits } from "../../src/config/schema/limits.ts";

const ROOT = resolve(import.meta.dirname, "../..");

/** A figure of a source file: `NAME = 16 * 1024;` or `name: 16_384,`. @throws {Error} when it is not there any more */
export function figure(file: string, name: string): number {
  const text = readFileSync(resolve(ROOT, "src", file), "utf8");
  const found = new RegExp(`\\b${name}\\s*[:=]\\s*([\\d_]+(?:\\s*\\*\\s*[\\d_]+)*)\\s*[,;}\\n]`).exec(text)?.[1];
  if (found === undefined) throw new Error(`src/${file} has no figure ${name}`);
  return found
    .split("*")
    .map((factor) => Number(factor.replaceAll("_", "").trim()))
    .reduce((product, factor) => product * factor, 1);
}

function bytes(file: string, name: string): string {
  return sizeOf(figure(file, name));
}

/** The default of a key of `envoy`. */
function usual(key: "heapMiB" | "maxConnections"): string {
  return envoySchema(z.string()).parse({})[key].toLocaleString("en-US");
}

function count(file: string, name: string): string {
  return figure(file, name).toLocaleString("en-US");
}

/** A limit with a key: its default, and the key. */
function keyed(key: keyof Limits, unit: (value: number) => string = (value) => value.toLocaleString("en-US")): string {
  return `${unit(limitsSchema.parse({})[key])} (\`limits.${key}\`)`;
}

function sizeOf(size: number): string {
  return size >= 1024 * 1024 ? `${size / 1024 / 1024} MiB` : `${size / 1024} KiB`;
}

/** What is limited, how far, and what is beyond. */
const LIMITS: readonly (readonly [string, () => string, string])[] = [
  ["Body of a request", () => keyed("bodyBytes", sizeOf), "`body_too_large`; 413 by Envoy"],
  [
    "Time for a request to arrive",
    () =>
      `${figure("envoy-config/values.ts", "REQUEST_SECONDS")} s, and no pause of ${figure("envoy-config/values.ts", "PAUSE_SECONDS")} s`,
    "408 or 504 by Envoy",
  ],
  [
    "Bodies over 8 KiB, or of unknown length, that arrive at one time",
    () =>
      `${count("envoy-config/body-budget.ts", "HEAP_PERCENT")} % of \`envoy.heapMiB\` in all, half of it from one source`,
    "429 by Envoy",
  ],
  ["Memory of Envoy", () => `\`envoy.heapMiB\`: ${usual("heapMiB")} MiB`, "the largest streams are reset, then 503"],
  ["Connections of clients", () => `\`envoy.maxConnections\`: ${usual("maxConnections")}`, "closed by Envoy"],
  [
    "A connection that says nothing, or does not end its TLS handshake",
    () => "10 s; 60 s without a request",
    "closed by Envoy",
  ],
  ["Connections to `envoy.opsListen`", () => count("envoy-config/listeners.ts", "OPS_CONNECTIONS"), "closed by Envoy"],
  [
    "Calls of one caller under way at one `direct` server",
    () => `\`limits.callsPerCaller\`: ${limitsSchema.parse({}).callsPerCaller}`,
    "429 by Envoy",
  ],
  ["Streams of one connection", () => count("envoy-config/listeners.ts", "max_concurrent_streams"), "refused by Envoy"],
  ["Checks of all callers, under way", () => count("envoy-config/clusters.ts", "CHECKS"), "503 by Envoy"],
  [
    `Bodies above ${bytes("authz/large-bodies.ts", "SMALL_BODY_BYTES")} of one caller, under way`,
    () => `${keyed("largeBodiesPerCaller")}, read one at a time, callers in turns`,
    "`rate_limited`",
  ],
  ["Levels of its JSON", () => count("json/strict-reader.ts", "maxDepth"), "`body_malformed`"],
  ["Members and elements of its JSON", () => count("json/strict-reader.ts", "maxMembers"), "`body_malformed`"],
  [
    "Member names in it beyond ASCII",
    () =>
      `${count("json/strict-name.ts", "MAX_OTHER_NAME")} characters each, ${count("json/strict-name.ts", "MAX_OTHER_NAMES")} in all`,
    "`body_malformed`",
  ],
  [
    "Names, or values of an array, that share a hash in policy",
    () => count("json/hash-chains.ts", "MAX_CHAIN"),
    "`body_malformed`",
  ],
  [
    "Name of a tool or prompt",
    () => `${count("mcp/read-operation.ts", "MAX_NAME")} of \`A-Z a-z 0-9 _ . - /\``,
    "`params_invalid`, `policy_denied`",
  ],
  ["URI of a resource", () => `${count("mcp/read-operation.ts", "MAX_URI")} characters`, "`params_invalid`"],
  ["Access token", () => bytes("authz/bearer.ts", "MAX_TOKEN_BYTES"), "`header_too_large`"],
  ["Claims in it", () => bytes("jose/compact.ts", "MAX_PART_BYTES"), "`token_invalid`"],
  ["Groups, scopes or audiences in it", () => `${count("identity/claims.ts", "MAX_LIST")} each`, "`token_invalid`"],
  [
    "Tokens of one source address that fail verification",
    () => `${keyed("invalidTokensPerSecond")} each second, ten times that at once`,
    "`rate_limited`",
  ],
  [
    "Tokens that wait for their verification",
    () =>
      `${count("identity/identity.ts", "maxWaiting")}, ${count("identity/identity.ts", "maxPerKey")} of one source address`,
    "`rate_limited`",
  ],
  [
    "Calls of one caller that wait for a credential",
    () =>
      `${count("authz/credential-waits.ts", "maxPerKey")}, ${count("authz/credential-waits.ts", "maxActive")} of all callers`,
    "`rate_limited`",
  ],
  [
    "Lists of one caller, under way",
    () => `${count("policy/store.ts", "maxPerKey")}, evaluated one at a time, callers in turns`,
    "`rate_limited`",
  ],
  ["Memory for verified tokens", () => keyed("tokenCacheBytes", sizeOf), "verified anew"],
  ["Life of a token", () => `${figure("identity/claims.ts", "MAX_LIFETIME_SECONDS") / 3600} hours`, "`token_invalid`"],
  ["Clocks apart", () => `${figure("identity/claims.ts", "SKEW_SECONDS")} s`, "`token_expired`, `token_invalid`"],
  [
    "Request headers in all",
    () =>
      `${figure("envoy-config/listeners.ts", "max_request_headers_kb")} KiB, ${figure("envoy-config/listeners.ts", "max_headers_count")} of them, about 8 of Envoy's own`,
    "431 by Envoy; 502 where its own are too many",
  ],
  ["Request header lines at the Check", () => count("envoy/header-table.ts", "MAX_LINES"), "`header_too_large`"],
  ["A credential as a header", () => bytes("authz/grant.ts", "MAX_VALUE_BYTES"), "`credential_unavailable`"],
  ["Scopes that policy may ask for", () => count("policy/decision.ts", "MAX_SCOPES"), "`policy_unavailable`"],
  [
    "Catalogue",
    () =>
      `${count("catalog/schema.ts", "MAX_ENTRIES")} of each kind per server, ${bytes("broker/catalog/definitions.ts", "MAX_ENTRY_BYTES")} each`,
    "left out of lists",
  ],
  ["Names of one server", () => keyed("serverNameBytes", sizeOf), "left out of lists"],
  ["Definitions of one server", () => keyed("serverDefinitionBytes", sizeOf), "left out of lists"],
  [
    "Wristband: names that one caller sees",
    () => `${bytes("wristband/sign.ts", "MAX_JWS_BYTES")}, about 1,000 names`,
    "each server has its share in lists of all; for one server `wristband_too_large`",
  ],
  ["Calls of one caller at a time, through the broker", () => keyed("callsPerCaller"), "`rate_limited`"],
  ["of those, at one server", () => count("app/broker/relay.ts", "MAX_CALLS_PER_SERVER"), "`rate_limited`"],
  [
    "Bytes that the broker holds for one caller",
    () => keyed("heldBytesPerCaller", sizeOf),
    "waits, then `rate_limited`",
  ],
  ["Bytes that the broker holds for all callers", () => keyed("heldBytes", sizeOf), "waits, then `rate_limited`"],
  ["Notifications of one call", () => `${keyed("notificationsPerSecond")} per second`, "dropped and counted"],
  ["Time of one decision", () => "`checkTimeoutMs`, and 80 % of Envoy's patience", "`deadline`"],
  [
    "One evaluation of policy",
    () =>
      `${figure("cli/serve.ts", "POLICY_LIMIT_MS")} ms of CPU, ${(figure("policy/engine.ts", "maximum") * 64) / 1024} MiB`,
    "`policy_unavailable`",
  ],
  [
    "Evaluations that run away, per caller",
    () => "one; or five slow ones in a minute",
    "`caller_suspended` for `limits.runawaySeconds` (60), doubled each time up to an hour",
  ],
  [
    "Callers that make one policy run away in a minute",
    () => `${figure("ops/supervisor/runaways.ts", "QUARANTINE_CALLERS") - 1}`,
    "`policy_unavailable` until the policy changes",
  ],
  ["Suspended callers", () => count("ops/supervisor/suspensions.ts", "MAX_SUSPENDED"), "the first ones end early"],
  [
    "Checks in flight, with those whose audit line waits",
    () => count("ops/supervisor/in-flight.ts", "SLOTS"),
    "`audit_unavailable`",
  ],
  [
    "Policy files",
    () => `${count("policy/sources.ts", "MAX_FILES")}, ${bytes("policy/sources.ts", "MAX_BYTES")}`,
    "not loaded",
  ],
  [
    "Revocations in force",
    () =>
      `${keyed("revocations")}, 31 bytes of memory and ${figure("identity/revocations.ts", "BYTES_PER_ENTRY")} of file each`,
    "`revocations_unavailable` for every token",
  ],
  [
    "Keys of one issuer",
    () => `${count("jose/key-set.ts", "MAX_KEYS")}, ${bytes("http/fetch-document.ts", "MAX_BYTES")}`,
    "`keys_unavailable`",
  ],
  ["Audit lines that wait", () => count("app/serve/serve.ts", "AUDIT_QUEUE"), "`audit_unavailable`"],
];

export function limitsTable(): string {
  const rows = LIMITS.map(([what, limit, beyond]) => `| ${what} | ${limit()} | ${beyond} |`);
  return ["| limit | | beyond it |", "|---|---|---|", ...rows].join("\n");
}
