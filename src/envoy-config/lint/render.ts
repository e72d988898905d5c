// The report of the linter as text for a terminal. Pure.
import type { Finding, Place } from "./finding.ts";
import type { LintReport } from "./lint.ts";

export function lintText({ findings, clusters, routes }: LintReport): string {
  const judged = `${count(routes, "route")} to ${count(clusters.length, "MCP cluster")}`;
  if (findings.length === 0) return `ok: ${judged}, every one checked`;
  const of = (severity: string) => findings.filter((finding) => finding.severity === severity).length;
  const last = `${count(findings.length, "finding")} (${of("high")} high, ${of("medium")} medium, ${of("low")} low) in ${judged}`;
  return [...findings.map(findingText), last].map(printable).join("\n");
}

function findingText({ rule, severity, place, message, fix }: Finding): string {
  const where = placeText(place);
  return `${severity} ${rule}${where === "" ? "" : `: ${where}`}\n  ${message}\n  Fix: ${fix}\n`;
}

const PARTS: readonly (readonly [keyof Place, string])[] = [
  ["listener", "listener"],
  ["filterChain", "filter chain"],
  ["filter", "filter"],
  ["virtualHost", "virtual host"],
  ["route", "route"],
  ["cluster", "cluster"],
  ["bootstrap", "bootstrap"],
];

function placeText(place: Place): string {
  return PARTS.flatMap(([key, word]) => (place[key] === undefined ? [] : [`${word} ${place[key]}`])).join(", ");
}

function count(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}

/** Names come from the dump: none moves the cursor. */
function printable(text: string): string {
  return text.replaceAll(/[^\P{C}\n]/gu, "�");
}
