// The status of the broker's servers, as a table for people. Pure.
import type { BrokerStatus, UpstreamStatus } from "../catalog/status.ts";

const HEAD = ["SERVER", "STATE", "TOOLS", "PROMPTS", "RESOURCES", "TEMPLATES", "LISTED", "LAST ERROR"];
const KINDS = ["tools", "prompts", "resources", "templates"] as const;
/** Names of one reason on a line. */
const MAX_SHOWN = 5;

/** One line per server, and below it what was left out or changed, by reason. */
export function statusText({ ready, upstreams, notes }: BrokerStatus): string {
  const rows = [HEAD, ...upstreams.map(rowOf)];
  const widths = HEAD.map((_, i) => Math.max(...rows.map((row) => (row[i] ?? "").length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd();
  const below = [[], ...upstreams.map(detailsOf)];
  const table = rows.flatMap((row, i) => [line(row), ...(below[i] ?? [])]);
  const odd = Object.entries(notes).flatMap(([what, names]) =>
    names.length === 0 ? [] : [`${what}: ${names.join(", ")}`],
  );
  const first = ready ? [] : ["The broker is not ready: it has no keys of serve, or not the first lists.", ""];
  return printable([...first, ...table, ...odd].join("\n")) + "\n";
}

function rowOf({ server, state, error, lastError, ageSeconds, entries }: UpstreamStatus): string[] {
  const listed = ageSeconds === null ? "never" : `${durationOf(ageSeconds)} ago`;
  const last = lastError === null ? "-" : `${lastError.error} (${durationOf(lastError.ageSeconds)} ago)`;
  return [server, state, ...KINDS.map((kind) => String(entries[kind] ?? 0)), listed, error ?? last];
}

function detailsOf({
  state,
  isShown,
  ageSeconds,
  breaker,
  direct,
  incomplete,
  dropped,
  changed,
}: UpstreamStatus): string[] {
  const isOld = state === "unhealthy" && ageSeconds !== null;
  return [
    ...(isOld ? [`  ${isShown ? "its old list is shown" : "its old list is too old to be shown"}`] : []),
    ...(breaker === "closed" ? [] : ["  its calls failed and are refused for now"]),
    ...direct.map((fault) => `  callRouting: direct does not fit: ${DIRECT_WORDS[fault] ?? fault}`),
    ...Object.entries(incomplete).map(([kind, error]) => `  ${kind} were not read to their end: ${error}`),
    ...remarksOf("left out", dropped),
    ...remarksOf("changed", changed),
  ];
}

const DIRECT_WORDS: Readonly<Record<string, string>> = {
  needs_session: "it wants a session of clients of older revisions, who cannot call it (say callRouting: broker)",
  older_only: "clients of 2026-07-28 cannot call it (say callRouting: broker)",
  stateless_only: "clients of older revisions cannot call it (say callRouting: broker)",
};

function remarksOf(what: string, remarks: UpstreamStatus["dropped"]): string[] {
  return Object.entries(remarks).flatMap(([reason, remark]) => {
    if (remark === undefined) return [];
    const names = remark.names.slice(0, MAX_SHOWN);
    const more = remark.count > names.length ? ", …" : "";
    return [`  ${what}, ${reason}: ${remark.count}${names.length === 0 ? "" : ` (${names.join(", ")}${more})`}`];
  });
}

function durationOf(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

/** Whoever answered: nothing moves the cursor. */
function printable(text: string): string {
  return text.replace(/[^\P{Cc}\n]/gu, "?");
}
