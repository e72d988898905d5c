// Renders a report of `why` as text. Pure.

/** The report of `why`, printed as text or as JSON. */
export interface Report {
  /** `allow`, `refuse` with a reason, or `public` for a document in the audit log. */
  readonly verdict: "allow" | "refuse" | "public";
  readonly reason: string | null;
  /** The fault in words of this program. */
  readonly detail: string | null;
  /** The part that the verdict leaves open: a credential that was not fetched. */
  readonly caveat: string | null;
  readonly meaning: string | null;
  readonly remedy: string | null;
  readonly steps: readonly ReportStep[];
}

export interface ReportStep {
  readonly step: string;
  readonly outcome: "ok" | "refused" | "not reached" | "note";
  /** Lines; the first one is the summary. */
  readonly says: readonly string[];
  /** Facts for the JSON form. */
  readonly facts?: Readonly<Record<string, unknown>>;
}

export function listed(items: readonly string[]): string {
  return items.length === 0 ? "none" : items.join(", ");
}

/** Renders a claim: a string as it is, any other value as JSON; at most 300 characters. */
export function text(value: unknown): string {
  const shown = typeof value === "string" ? value : value === undefined ? "none" : JSON.stringify(value);
  return shown.length > 300 ? `${shown.slice(0, 300)}…` : shown;
}

/** Renders a distance in time: "in 2 h 5 min", "12 s ago". */
export function distance(ms: number): string {
  const seconds = Math.floor(Math.abs(ms) / 1000);
  const [days, hours, minutes] = [
    Math.floor(seconds / 86_400),
    Math.floor(seconds / 3600) % 24,
    Math.floor(seconds / 60) % 60,
  ];
  const parts =
    days > 0
      ? [`${days} d`, `${hours} h`]
      : hours > 0
        ? [`${hours} h`, `${minutes} min`]
        : minutes > 0
          ? [`${minutes} min`]
          : [`${seconds} s`];
  return ms < 0 ? `${parts.join(" ")} ago` : `in ${parts.join(" ")}`;
}

/** The first line of a report: `allow`, `public`, or `refuse` with its reason. */
export function firstLine({ verdict, reason }: Report): string {
  return verdict === "refuse" ? `refuse ${reason ?? ""}` : verdict;
}

const LABEL = 12;

/** Renders a report for a terminal: the verdict, one line for each step, then meaning and remedy. */
export function reportText(report: Report): string {
  const { reason, caveat, meaning, remedy, steps } = report;
  const lines = [firstLine(report), ...(caveat === null ? [] : [`      ${caveat}`]), ""];
  for (const { step, outcome, says } of steps) {
    const mark = outcome === "ok" ? "ok  " : outcome === "refused" ? "NO  " : "-   ";
    says.forEach((line, i) => lines.push(`${(i === 0 ? step : "").padEnd(LABEL)}${i === 0 ? mark : "    "}${line}`));
  }
  if (meaning !== null) lines.push("", `meaning     ${meaning}`);
  if (remedy !== null) lines.push(`to do       ${remedy}`);
  if (reason !== null) lines.push(`more        docs/refusals.md#${reason}`);
  // Names and claims come from outside: control characters could move the cursor or hide a line.
  return `${lines.map((line) => line.replaceAll(/\p{Cc}|\p{Cf}/gu, "?")).join("\n")}\n`;
}
