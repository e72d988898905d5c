// What a person sees of `npm start` and of `why`, as the README shows it: made from the real output, without what differs
// from run to run. Pure, but for `setAside`.
import { existsSync, renameSync, rmSync } from "node:fs";

const WIDTH = 118;

/** The demo's own lines: what starts, what can be tried, where everything is. Lines to paste are left out. */
export function startScreen(output: string): string {
  const lines = output.split("\n").filter((line) => !/^\s+(?:curl|npx|\.\/mcp-authz|claude|code) /.test(line));
  return screen(lines.slice(lines.indexOf("Starting the demo:")));
}

/** `why`'s answer; times are cut. */
export function whyScreen(output: string): string {
  return screen(output.replaceAll(/expires \S+ \([^)]*\)/g, "expires …").split("\n"));
}

function screen(lines: readonly string[]): string {
  return lines
    .map((line) => (line.length > WIDTH ? `${line.slice(0, WIDTH - 1)}…` : line))
    .join("\n")
    .trim();
}

/** The page with the block of this name renewed. @throws if the page has none */
export function withScreen(page: string, name: string, text: string): string {
  const block = new RegExp(`(<!-- screen: ${name} -->\n\`\`\`text\n)[^]*?(\n\`\`\`)`);
  if (!block.test(page)) throw new Error(`the page has no screen ${name}`);
  return page.replace(block, (_, before: string, after: string) => `${before}${text}${after}`);
}

/** Sets the policy aside that somebody edits in the demo, so that it runs on today's. @returns what puts it back */
export function setAside(policies: string): () => void {
  const kept = `${policies}.kept`;
  if (existsSync(kept)) rmSync(policies, { recursive: true, force: true }); // of a run that did not put it back
  else if (existsSync(policies)) renameSync(policies, kept);
  return () => {
    rmSync(policies, { recursive: true, force: true });
    if (existsSync(kept)) renameSync(kept, policies);
  };
}
