// Path templates of Vault entries: the only maker of Vault paths. Pure.

/** The values of placeholders. The first three are from the caller's verified token, the others from the configuration. */
export interface PathValues {
  readonly username: string | null;
  readonly subject: string;
  /** The configured short name of the caller's issuer. */
  readonly issuerAlias: string | null;
  readonly server: string;
  /** The server's host name in lower case, without port. */
  readonly host: string;
}

export type Placeholder = keyof PathValues;

/** A placeholder is a whole segment: beside other text, `{username}-x` and `{username}` could meet in one path. */
export type PathSegment = { readonly literal: string } | { readonly placeholder: Placeholder };
export type PathTemplate = readonly PathSegment[];

const PLACEHOLDERS: ReadonlySet<string> = new Set<Placeholder>([
  "username",
  "subject",
  "issuerAlias",
  "server",
  "host",
]);

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
  for (const part of text.split("/")) {
    const name = /^\{([A-Za-z]*)\}$/.exec(part)?.[1];
    if (name === undefined) {
      if (!isSegment(part)) return faultOf(part);
      template.push({ literal: part });
    } else {
      if (!isPlaceholder(name)) return `{${name}} is not known; there are ${[...PLACEHOLDERS].map(braced).join(", ")}`;
      template.push({ placeholder: name });
    }
  }
  return template;
}

/** Fills in the values; null if one of them cannot be a segment: then the Vault must not be asked (threat model: P13). */
export function fillPath(template: PathTemplate, values: PathValues): string | null {
  const parts: string[] = [];
  for (const segment of template) {
    const part = "literal" in segment ? segment.literal : values[segment.placeholder];
    if (part === null || !isSegment(part)) return null;
    parts.push(part);
  }
  return parts.join("/");
}

export function uses(template: PathTemplate, ...names: readonly Placeholder[]): boolean {
  return template.some((segment) => "placeholder" in segment && names.includes(segment.placeholder));
}

function isPlaceholder(name: string): name is Placeholder {
  return PLACEHOLDERS.has(name);
}

function braced(name: string): string {
  return `{${name}}`;
}

function faultOf(part: string): string {
  if (part === "") return "must not begin or end with / nor hold //";
  if (/[{}]/.test(part)) return `"${part}": a placeholder is a whole segment between slashes`;
  return `"${part}" is not a path segment: up to 128 of A-Z a-z 0-9 . _ @ -, not beginning with . or @`;
}
