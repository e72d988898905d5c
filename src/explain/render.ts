/** What `why` prints, as text or as JSON. */
export interface Report {
  /** As in the first line: `allow`, `refuse` with a reason, or `public` for a document in the audit log. */
  readonly verdict: "allow" | "refuse" | "public";
  readonly reason: string | null;
  /** What exactly was wrong, in our words. */
  readonly detail: string | null;
  /** What the verdict leaves open: a credential that was not fetched. */
  readonly caveat: string | null;
  readonly meaning: string | null;
  readonly remedy: string | null;
  readonly steps: readonly ReportStep[];
}

export interface ReportStep {
  readonly step: string;
  readonly outcome: "ok" | "refused" | "not reached" | "note";
  /** The first line is what it comes to. */
  readonly says: readonly string[];
  /** For programs. */
  readonly facts?: Readonly<Record<string, unknown>>;
}

export function listed(items: readonly string[]): string {
  return items.length === 0 ? "none" : items.join(", ");
}

/** A claim as it stands: text as it is, anything else as JSON; bounded. */
export function text(value: unknown): string {
  const shown = typeof value === "string" ? value : value === undefined ? "none" : JSON.stringify(value);
  return shown.length > 300 ? `${shown.slice(0, 300)}…` : shown;
}

/** "in 2 h 5 min", "12 s ago". */
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

/** `allow`, `public`, or `refuse` with its reason. */
export function firstLine({ verdict, reason }: Report): string {
  return verdict === "refuse" ? `refuse ${reason ?? ""}` : verdict;
}

const LABEL = 12;

/** For a terminal: the verdict first, then a step per line, then what it means. */
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
  // Names and claims come from outside: nothing of them may move the cursor or hide a line.
  return `${lines.map((line) => line.replaceAll(/\p{Cc}|\p{Cf}/gu, "?")).join("\n")}\n`;
}
