// Path templates of Vault entries: the only maker of Vault paths. Pure.

import { placeholderText, readPlaceholder, valueOf, type CallerFacts, type CallerPlaceholder } from "../caller-text.ts";

/** The values of placeholders: the caller's from a verified token, the others from the configuration. */
export interface PathValues extends CallerFacts {
  readonly server: string;
  /** The server's host name in lower case, without port. */
  readonly host: string;
}

/** A placeholder is a whole segment: beside other text, `{username}-x` and `{username}` could meet in one path. */
export type PathSegment =
  | { readonly literal: string }
  | { readonly fixed: "server" | "host" }
  | { readonly caller: CallerPlaceholder };
export type PathTemplate = readonly PathSegment[];

const KNOWN = "{username}, {subject}, {issuerAlias}, {server}, {host}, {claim:NAME}, and the caller's with :base32";

/**
 * One segment (threat model: M10). Excludes "." and "..", and all that a client or server decodes, cuts off or normalizes.
 * Escaping would not help: a Vault reads `a%2fb` as `a/b`.
 */
const SEGMENT = /^[A-Za-z0-9_-][A-Za-z0-9._@-]{0,127}$/;

/** True if a text can be one segment of a path, unchanged. */
export function isSegment(text: string): boolean {
  return SEGMENT.test(text);
}

/** Parses a path of the configuration, or returns its fault. */
export function parsePath(text: string): PathTemplate | string {
  const template: PathSegment[] = [];
  for (const part of text.match(/(?:\{[^{}]*\}|[^/])+|(?<=\/|^)(?=\/|$)/g) ?? [""]) {
    const name = /^\{([^{}]*)\}$/.exec(part)?.[1];
    if (name === undefined) {
      if (!isSegment(part)) return faultOf(part);
      template.push({ literal: part });
    } else if (name === "server" || name === "host") {
      template.push({ fixed: name });
    } else {
      const caller = readPlaceholder(name);
      if (caller === null) return `{${name}} is not known; there are ${KNOWN}`;
      template.push({ caller });
    }
  }
  return template;
}

/** Fills in the values; null if one of them cannot be a segment: then the Vault must not be asked (threat model: P13). */
export function fillPath(template: PathTemplate, values: PathValues): string | null {
  const parts: string[] = [];
  for (const segment of template) {
    const part = partOf(segment, values);
    if (part === null || !isSegment(part)) return null;
    parts.push(part);
  }
  return parts.join("/");
}

function partOf(segment: PathSegment, values: PathValues): string | null {
  if ("literal" in segment) return segment.literal;
  return "fixed" in segment ? values[segment.fixed] : valueOf(segment.caller, values);
}

export function uses(
  template: PathTemplate,
  ...names: readonly (CallerPlaceholder["of"] | "server" | "host")[]
): boolean {
  return template.some((segment) => {
    if ("literal" in segment) return false;
    return names.includes("fixed" in segment ? segment.fixed : segment.caller.of);
  });
}

/**
 * True if a path of one template can be one of the other, for callers that the two name differently: then one caller could read
 * what is another's. `a` and `b` hold the values of their own servers.
 */
export function canMeet(a: PathTemplate, b: PathTemplate): boolean {
  if (a.length !== b.length) return false;
  const pairs = a.map((segment, i) => [textOf(segment), textOf(b[i] ?? segment)] as const);
  return (
    pairs.every(([one, other]) => one === other || isCaller(one) || isCaller(other)) &&
    pairs.some(([one, other]) => one !== other)
  );
}

/** The template with the names of its server in it. */
export function ofServer(template: PathTemplate, { server, host }: Pick<PathValues, "server" | "host">): PathTemplate {
  return template.map((segment) => ("fixed" in segment ? { literal: { server, host }[segment.fixed] } : segment));
}

function textOf(segment: PathSegment): string {
  if ("literal" in segment) return segment.literal;
  return "fixed" in segment ? `{${segment.fixed}}` : placeholderText(segment.caller);
}

function isCaller(text: string): boolean {
  return text.startsWith("{");
}

function faultOf(part: string): string {
  if (part === "") return "must not begin or end with / nor hold //";
  if (/[{}]/.test(part)) return `"${part}": a placeholder is a whole segment between slashes`;
  return `"${part}" is not a path segment: up to 128 of A-Z a-z 0-9 . _ @ -, not beginning with . or @`;
}
