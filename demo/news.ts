// What serve has to say to the person at the terminal of `npm start`, read from its log, one line each: what became of an
// edit of the policy, and a clock that is wrong.
import { closeSync, fstatSync, openSync, readSync } from "node:fs";

const POLL_MS = 200;
const MAX_SENTENCE = 300;
/** What a line of serve's log says to that person, or null. @param folder of the policy, as a person would write it */
export function newsOf(line: string, folder: string): string | null {
  const { event, message, revision } = fieldsOf(line);
  if (event === "policy_live") return `Policy is live: revision ${String(revision).slice(0, 12)}.`;
  if (event === "policy_open_to_all") return `Look again: ${String(message)}.`;
  if (event === "clock_differs") return `A clock is wrong: ${String(message)}.`;
  if (event !== "policy_not_reloaded") return null;
  return `Policy NOT taken: ${sentenceOf(String(message), folder)} The last good policy stays in force.`;
}

/** The first fault, with the file as a person finds it. */
function sentenceOf(message: string, folder: string): string {
  const sentence = message.slice(0, MAX_SENTENCE).replace(/\.$/, "");
  return `${/^[\w/.-]+\.(?:rego|ya?ml|json):/.test(sentence) ? `${folder}/` : ""}${sentence}.`;
}

function fieldsOf(line: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** Hands over every line of a log, those to come included. @returns what ends it */
export function followLog(file: string, onLine: (line: string) => void): () => void {
  const fd = openSync(file, "r");
  let at = 0;
  let rest = "";
  const timer = setInterval(() => {
    const grown = Buffer.alloc(Math.max(0, fstatSync(fd).size - at));
    at += readSync(fd, grown, 0, grown.length, at);
    const lines = `${rest}${grown.toString("utf8")}`.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  }, POLL_MS);
  return () => {
    clearInterval(timer);
    closeSync(fd);
  };
}
