// Parses JSON texts of our own making, and of tools of ours, into values. Pure. What comes from callers, servers and
// issuers goes through the strict reader instead.
import { readJson } from "./strict-reader.ts";

/** Far above what opa and our own files nest; below what would exhaust the stack. */
const ANY_TEXT = { maxDepth: 1000, maxMembers: Number.POSITIVE_INFINITY, anyNames: true };

/**
 * What `JSON.parse` should be. V8 since 12.9 (Node 23 to 26) can take a name that is written with escapes for another one
 * (docs/v8-json-parse.md): a text without a backslash holds no such name, and any other goes through our own reader.
 * @throws {SyntaxError}
 */
export function parseJson(text: string): unknown {
  if (!text.includes("\\")) return JSON.parse(text) as unknown;
  const read = readJson(Buffer.from(text), ANY_TEXT);
  if (!read.ok) throw new SyntaxError(read.detail);
  return read.value;
}
