// Patterns of names: exact names, and `*` for any characters. Matched from left to right, without going back. Pure.

/** Characters of tool and prompt names, and `*`: a pattern with another character could match no name. */
const NAME_PATTERN = /^[A-Za-z0-9_.\-/*]{1,128}$/;
/** A URI or URI template has no spaces and no control characters. */
const URI_PATTERN = /^[^\s\p{C}]{1,2048}$/u;

/** True if this is a pattern that a name of the kind can match. */
export function isPattern(text: string, of: "name" | "uri"): boolean {
  return (of === "name" ? NAME_PATTERN : URI_PATTERN).test(text);
}

export function isWildcard(pattern: string): boolean {
  return pattern.includes("*");
}

/** Makes the function that says whether a name matches one of the patterns. Names are compared byte for byte. */
export function nameMatcher(patterns: readonly string[]): (name: string) => boolean {
  if (patterns.includes("*")) return () => true;
  const exact = new Set(patterns.filter((pattern) => !isWildcard(pattern)));
  const wildcards = patterns.filter(isWildcard).map((pattern) => pattern.split("*"));
  return (name) => exact.has(name) || wildcards.some((parts) => matches(name, parts));
}

/** @param parts the texts between the `*` of a pattern, two at least */
function matches(name: string, parts: readonly string[]): boolean {
  const [first = ""] = parts;
  const last = parts.at(-1) ?? "";
  const end = name.length - last.length;
  if (end < first.length || !name.startsWith(first) || !name.endsWith(last)) return false;
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return at <= end;
}
