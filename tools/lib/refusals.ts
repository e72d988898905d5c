// Makes docs/refusals.md from the tables and from the code that answers. A test compares the file with it.
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
      ["with `denial: http`, and always for a notification", answerOf(reason, { ...SETTINGS, denial: "http" }, MODERN)],
      ["with `denial: isError`, for `tools/call`", answerOf(reason, { ...SETTINGS, denial: "isError" }, MODERN)],
    ];
  }
  if (reason === "method_unknown") {
    return [
      [`with revision ${MODERN}`, answerOf(reason, SETTINGS, MODERN)],
      ["with an older one, whose session a 404 would end", answerOf(reason, SETTINGS, LEGACY)],
    ];
  }
  return [["", answerOf(reason, SETTINGS, MODERN)]];
}

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
  const answers = variants(reason).map(
    ([when, what], i) => `${i === 0 ? "The client sees" : "Or"}${when === "" ? "" : `, ${when}`}:\n\n${shown(what)}`,
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
  "- `jsonrpc` (the default): to a client of an older revision 200 with a JSON-RPC error, because a status of failure ends the session of several of them;",
  "  to one of 2026-07-28 the status below, and 200 for `policy_denied`.",
  "- `http`: the status of the refusal in both eras.",
  "- `isError`: a refused `tools/call` is 200 with a tool's result, `isError: true`, whose text is the message, the reason and the request id: hosts give that to the model.",
  '  `_meta["mcp-authz/refusal"]` has what `error.data` has otherwise. All other requests as with `jsonrpc`.',
  "",
  "In every form the same: each 401, `scope_insufficient`, `session_unknown`, faults of headers and revisions, and what has no id (a body that cannot be read, a notification, GET).",
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
    ...REASONS.map(section),
    "Made by `npm run docs` from `src/authz/refusal.ts`, `src/explain/remedies.ts` and `src/authz/refusal-response.ts`.\n",
  ].join("\n\n");
}
