// Makes docs/refusals.md from the tables, from the code that answers, and from what clients were measured to make of it. A test
// compares the file with it. Reads one file.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  refusalResponse,
  type RefusalResponse,
  type RefusalResponseSettings,
} from "../../src/authz/refusal-response.ts";
import type { Refused } from "../../src/authz/step.ts";
import { REFUSALS, type Reason } from "../../src/authz/refusal.ts";
import { NAME_OF_NOBODY, REMEDIES } from "../../src/explain/remedies.ts";
import { newCheckFacts, type CheckFacts } from "../../src/authz/facts.ts";
import { MODERN } from "../../src/mcp/versions.ts";

const MEASURED = join(import.meta.dirname, "../../test/conformance/refusals/measured.json");
const ORIGIN = "https://gw.example.com";
const SETTINGS: RefusalResponseSettings = { publicOrigin: ORIGIN, scopes: [], denial: "jsonrpc" };
const LEGACY = "2025-11-25";
const REASONS = Object.keys(REFUSALS) as Reason[];
/** Found before the body was read, or in a body that has no readable id. */
const WITHOUT_ID: ReadonlySet<Reason> = new Set([
  ...(["origin_not_allowed", "wristband_invalid", "method_not_allowed", "body_malformed", "body_batch"] as const),
  ...(["header_malformed", "query_not_allowed", "body_too_large", "media_type", "header_too_large"] as const),
  ...(["keys_unavailable"] as const),
]);

/** A call of a tool of the server `github`, as far as it came before it was refused. */
function trailOf(reason: Reason, version: string): CheckFacts {
  const facts = newCheckFacts("8d3f9c1e-…", 0);
  if (reason === "route_unknown") return facts;
  const path = "/servers/github/mcp";
  facts.path = path;
  facts.endpoint = {
    kind: "mcp",
    server: "github",
    virtualServer: null,
    search: false,
    resource: ORIGIN + path,
    allowQuery: false,
    sessions: reason === "session_unknown",
    legacySse: null,
  };
  if (!WITHOUT_ID.has(reason)) facts.rpc = { id: 1, notification: false, version, isToolCall: true };
  return facts;
}

function answerOf(reason: Reason, settings: RefusalResponseSettings, version: string): RefusalResponse {
  const scopes = reason === "scope_insufficient" ? ["mcp:write"] : undefined;
  const refused: Refused = { ok: false, reason, scopes };
  return refusalResponse(settings, refused, trailOf(reason, version));
}

/** How the answer differs by setting or by the client's protocol revision. */
function variants(reason: Reason): [string, RefusalResponse][] {
  if (reason === "policy_denied") {
    return [
      ["", answerOf(reason, SETTINGS, MODERN)],
      ["with `denial: http`, and for a notification", answerOf(reason, { ...SETTINGS, denial: "http" }, MODERN)],
      ["with `denial: isError`, for `tools/call`", answerOf(reason, { ...SETTINGS, denial: "isError" }, MODERN)],
    ];
  }
  if (reason === "method_unknown") {
    return [
      [`with revision ${MODERN}`, answerOf(reason, SETTINGS, MODERN)],
      ["with an older one, whose session a 404 would end", answerOf(reason, SETTINGS, LEGACY)],
    ];
  }
  return [["", answerOf(reason, SETTINGS, MODERN)], ...asHttp(reason)];
}

/** Where the form decides. */
function asHttp(reason: Reason): [string, RefusalResponse][] {
  const answer = answerOf(reason, { ...SETTINGS, denial: "http" }, MODERN);
  const isSame = answer.status === answerOf(reason, SETTINGS, MODERN).status;
  return isSame ? [] : [[AS_HTTP, answer]];
}

const AS_HTTP = "with `denial: http`, and what has no id";

const SHOWN_HEADERS = ["www-authenticate", "allow", "retry-after"];

function shown({ status, headers, body }: RefusalResponse): string {
  const lines = SHOWN_HEADERS.flatMap((name) => {
    const value = headers.get(name);
    return value === undefined ? [] : [`${name}: ${value}`];
  });
  return ["```http", `HTTP/1.1 ${status}`, ...lines, "", body, "```"].join("\n");
}

function section(reason: Reason): string {
  const { meaning, remedy } = REMEDIES[reason];
  const answers = variants(reason).map(([when, what], i) =>
    when === AS_HTTP
      ? `Or ${what.status}, ${when}.`
      : `${i === 0 ? "The client sees" : "Or"}${when === "" ? "" : `, ${when}`}:\n\n${shown(what)}`,
  );
  const { meaning: otherwise, remedy: instead } = NAME_OF_NOBODY;
  const unasked =
    reason === "policy_denied" ? [`**If \`policy\` is null in the audit line:** ${otherwise} ${instead}`] : [];
  return [`## ${reason}`, meaning, `**What to do.** ${remedy}`, ...unasked, ...answers].join("\n\n");
}

function row(reason: Reason): string {
  const { kind, rpc, http } = REFUSALS[reason];
  const older = answerOf(reason, SETTINGS, LEGACY).status;
  const statuses = variants(reason).map(([, { status }]) => status);
  const code = http === 401 ? "none" : String(rpc ?? http);
  return `| [\`${reason}\`](#${reason}) | ${kind} | ${[...new Set([...statuses, older])].join(" or ")} | ${code} | ${REMEDIES[reason].meaning} |`;
}

const FORM_OF_A_REFUSAL = [
  "`denial` says how the refusal of a whole request looks, for each era if it is `{legacy: …, modern: …}`. Denied, hidden and unknown names look the same in each form.",
  "",
  "- `jsonrpc` (the default): 200 with a JSON-RPC error, because a status of failure ends the session of some clients and hides the reason from others ([clients](#clients)).",
  "- `http`: the status of the refusal in both eras.",
  "- `isError`: a refused `tools/call` is 200 with a tool's result, `isError: true`, whose text is the message, the reason and the request id: hosts give that to the model.",
  '  `_meta["mcp-authz/refusal"]` has what `error.data` has otherwise. All other requests as with `jsonrpc`.',
  "",
  "In every form the same: each 401, `scope_insufficient`, `session_unknown`, faults of headers and revisions, what 2026-07-28 has a code of its own for, and what has no id (a body that cannot be read, a notification, GET).",
].join("\n");

interface Measured {
  readonly [client: string]: Readonly<Record<string, string>>;
}

const WORDS: Readonly<Record<string, string>> = { error: "error", result: "result", yes: "yes", no: "**no**" };

/** What the matrix of clients and refusals measured (test/conformance/refusals.test.ts). */
function clientsSection(): string {
  const measured = JSON.parse(readFileSync(MEASURED, "utf8")) as Measured;
  const titles = [...new Set(Object.values(measured).flatMap((row) => Object.keys(row)))].filter(
    (title) => !title.endsWith(", isError"),
  );
  const cell = (row: Measured[string], title: string) => {
    const words = [row[title], row[`${title}, isError`]].map((word) =>
      word === undefined ? "" : (WORDS[word] ?? `**${word}**`),
    );
    return [...new Set(words.filter((word) => word !== ""))].join(" / ");
  };
  const lines = Object.entries(measured).map(
    ([client, row]) => `| ${client} | ${titles.map((title) => cell(row, title)).join(" | ")} |`,
  );
  return [
    "## Clients",
    CLIENTS_TEXT,
    [`| client | ${titles.join(" | ")} |`, `|---|${"---|".repeat(titles.length)}`, ...lines].join("\n"),
  ].join("\n\n");
}

const CLIENTS_TEXT = [
  "What real clients make of refusals, through Envoy, at `/mcp` (and `/sse`): `error` means that the client raises an error with our words, `result` that it returns a failed tool's result with",
  "them (with `denial: isError`, behind the stroke), `status` that the HTTP status is all it tells, `no answer` that its call ends only by its own time limit. *goes on*: after all of them the same session",
  "does its next call. Envoy answers 413 before the body is read, so nobody knows the request's id, and a session of Python SDK 1, FastMCP 2 and the Go SDK ends there: raise `limits.bodyBytes` where such clients send much.",
  "An empty cell was not tried: mcp-remote asks the user to log in after a 401, once, and the Inspector calls only what is listed. CI measures the same (`test/conformance/refusals.test.ts`); none of the clients asks again and again.",
].join("\n");

/** The page as it should be. */
export function refusalsPage(): string {
  return [
    "# Refusals",
    [
      "Every way in which a request is refused. The word stands in the client's body (`error.data.reason`, or `error`), in the audit",
      "line (`reason`), in `mcp_authz_checks_total{reason}` and in the first line of `mcp-authz why`. `deny` is a decision about the request;",
      "`fail` means that nobody could decide, which is refused all the same.",
    ].join("\n"),
    [
      "A 401 has the same body whatever is wrong with the token, so that nobody can find out by trying. The audit line's `detail` is for the",
      "operator and never reaches a client. Give the `requestId` of an answer to `mcp-authz why --request-id`: it finds the line and names the rules.",
    ].join("\n"),
    FORM_OF_A_REFUSAL,
    ["| reason | kind | HTTP | JSON-RPC code | meaning |", "|---|---|---|---|---|", ...REASONS.map(row)].join("\n"),
    clientsSection(),
    ...REASONS.map(section),
    "Made by `npm run docs` from `src/authz/refusal.ts`, `src/explain/remedies.ts` and `src/authz/refusal-response.ts`.\n",
  ].join("\n\n");
}
