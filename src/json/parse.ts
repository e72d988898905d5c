// Parses JSON texts that this program or its tools (opa) wrote. Pure. Texts of callers, servers and issuers go through the
// strict reader instead.
import { readJson } from "./strict-reader.ts";

/** Far above the nesting of opa's and our own files; below the depth that exhausts the stack. */
const ANY_TEXT = { maxDepth: 1000, maxMembers: Number.POSITIVE_INFINITY, anyNames: true };

/**
 * `JSON.parse` without a fault of V8 since 12.9 (Node 23 to 26), which can take a name with escapes for another name
 * (docs/v8-json-parse.md). A text without a backslash holds no such name; any other text goes through the strict reader.
 * @throws {SyntaxError}
 */
export function parseJson(text: string): unknown {
  if (!text.includes("\\")) return JSON.parse(text) as unknown;
  const read = readJson(Buffer.from(text), ANY_TEXT);
  if (!read.ok) throw new SyntaxError(read.detail);
  return read.value;
}
