// Calls of the library under `not`, by the text of a file: they hold where their arguments are not there at all. Pure. For warnings.
import type { SourceFile } from "./data.ts";
import { withoutTexts } from "./rule-heads.ts";

/** What to write instead. */
const INSTEAD: Readonly<Record<string, string>> = {
  matches: "write mcp_authz.matches_none",
  within: "turn the times round: within(clock, to, from) is the rest of the day",
  weekday_in: "name the days that are meant",
  date_within: "name the dates that are meant",
};

const name = (text: string) => String.raw`(?:\s*\.\s*${text}\b|\s*\[\s*"${text}"\s*\])`;
const LIBRARY = `data${name("mcp_authz")}`;

/** @returns lines as `policy.rego:12: …` */
export function negatedCalls({ path, text }: SourceFile): string[] {
  const bare = withoutTexts(text);
  return Object.entries(INSTEAD)
    .flatMap(([called, instead]) => {
      const call = new RegExp(String.raw`\bnot\s+\(?\s*(?:${spellings(text, called).join("|")})\s*\(`, "g");
      // What stands in a comment or in a text is blank there.
      const found = [...text.matchAll(call)].filter(({ index }) => bare.startsWith("not", index));
      return found.map(({ index }) => ({ line: text.slice(0, index).split("\n").length, called, instead }));
    })
    .toSorted((a, b) => a.line - b.line)
    .map((one) => `${path}:${one.line}: ${wordsOf(one)}`);
}

function wordsOf({ called, instead }: { readonly called: string; readonly instead: string }): string {
  const argument = called === "matches" ? "its patterns are" : "its arguments are";
  return `\`not mcp_authz.${called}\` holds where ${argument} not there: ${instead}`;
}

/** How a file can name this function: in full, and by its imports. */
function spellings(text: string, called: string): string[] {
  const imported = [...text.matchAll(new RegExp(String.raw`^\s*import\s+${LIBRARY}[ \t]*(?:as\s+(\w+))?`, "gm"))];
  const alone = [
    ...text.matchAll(new RegExp(String.raw`^\s*import\s+${LIBRARY}${name(called)}[ \t]*(?:as\s+(\w+))?`, "gm")),
  ];
  return [
    `${LIBRARY}${name(called)}`,
    `mcp_authz${name(called)}`,
    ...imported.map(([, alias = "mcp_authz"]) => `${alias}${name(called)}`),
    ...alone.map(([, alias = called]) => alias),
  ];
}
