// Accepts the one spelling of a resource URI that every URL library leaves unchanged (RFC 3986 §6, WHATWG URL). Pure.
// Servers read URIs through such libraries: a URI that a library changes would name another resource than policy saw.

/** RFC 3986 §2, without the brackets that only an IPv6 host has; beyond ASCII letters, marks and digits. */
const CHARACTERS =
  /^(?:[A-Za-z0-9\-._~:/?#@!$&'()*+,;=%]|(?!\p{ASCII}|\p{Default_Ignorable_Code_Point})[\p{L}\p{M}\p{N}])*$/u;
/** Scheme, authority, path, query, fragment (RFC 3986, appendix B). One letter is a drive to Windows and .NET. */
const PARTS = /^([a-z][a-z0-9+.-]+):(?:\/\/([^/?#]*))?([^?#]*)(\?[^#]*)?(#[^#]*)?$/;
/** Schemes whose host and path a WHATWG parser rewrites. */
const SPECIAL: ReadonlySet<string> = new Set(["http", "https", "ws", "wss", "ftp"]);
const SPECIAL_AUTHORITY = /^[a-z0-9.-]+(?::[1-9]\d{0,4})?$/;
/**
 * User without colon, host without percent: libraries differ in both. `scheme:///path` has neither. A host outside of the
 * {@link SPECIAL} schemes keeps its capitals, as in `repo://Owner/name`: there no library changes the URI.
 */
const AUTHORITY = /^(?:(?:[A-Za-z0-9._~-]+@)?[A-Za-z0-9._~-]+(?::[1-9]\d{0,4})?)?$/;
/** A percent sign without two capital hexadecimal digits, an escape of a character that needs none, or one escaped twice. */
const ODD_PERCENT = /%(?![0-9A-F]{2})|%(?:4[1-9A-F]|5[0-9A]|6[1-9A-F]|7[0-9A]|3[0-9]|2[DE]|5F|7E)|%25[0-9A-Fa-f]{2}/;
/** RFC 3986 §5.2.4; Java servers read `..;x` as a dot segment too. An escaped slash ends a segment where it is decoded. */
const DOT_SEGMENT = /(?:^|[/:]|%2F)\.{1,2}(?:[/?#;]|%2F|$)/;
/** Escaped slashes that stand beside another one when decoded, or in a URI beyond ASCII, where Go loses the escape. */
const ODD_SLASH = /%2F(?:%2F|\/|[?#]|$)|(?:\/|:)%2F|^(?=\p{ASCII}*\P{ASCII}).*%2F/u;
/** An empty query or fragment, or empty parameters: Python's urllib drops them. */
const EMPTY_PART = /\?(?:#|$)|#$|;(?:[?#]|$)/;

interface Parts {
  readonly scheme: string;
  /** Undefined without `//`. */
  readonly authority: string | undefined;
  readonly path: string;
  readonly query: string | undefined;
  readonly fragment: string | undefined;
}

/** Describes, for the sender, the first fault of a URI that is not in normal form; null if it is. */
export function faultOfUri(uri: string): string | null {
  if (!CHARACTERS.test(uri)) return "a character in uri that no URI has: percent-encode it";
  const parts = partsOf(uri);
  if (parts === null) return "uri does not begin with a scheme in lower case, or has two fragments";
  return faultOfText(uri) ?? faultOfPlace(parts) ?? (isUnchanged(uri, parts) ? null : "uri is not in normal form");
}

/** Describes the fault of a URI template (RFC 6570); null if some values make it a URI in normal form. */
export function faultOfTemplate(template: string): string | null {
  const faults = VALUES.map((value) =>
    faultOfUri(template.replaceAll(EXPRESSION, (_, operator: string) => sample(operator, value))),
  );
  return faults.includes(null) ? null : (faults[0] ?? null);
}

const EXPRESSION = /\{([+#./;?&]?)[A-Za-z0-9_.,:*%-]+\}/g;
/** Sample values: a word, a path from the root, a whole URI. */
const VALUES = ["xx", "/xx", "xx:xx"];

function sample(operator: string, value: string): string {
  if (operator === "" || operator === "+") return value;
  return "./#".includes(operator) ? `${operator}xx` : `${operator}xx=xx`;
}

function partsOf(uri: string): Parts | null {
  const [whole, scheme = "", authority, path = "", query, fragment] = PARTS.exec(uri) ?? [];
  return whole === undefined ? null : { scheme, authority, path, query, fragment };
}

function faultOfText(uri: string): string | null {
  if (ODD_PERCENT.test(uri)) return "a percent sign in uri that is malformed or needless";
  const decoded = decode(uri);
  if (decoded === null) return "percent signs in uri that are not UTF-8";
  if (/[\p{Cc}\\]/u.test(decoded)) return "a control character or backslash in uri";
  if (DOT_SEGMENT.test(uri)) return "a dot segment in uri";
  if (ODD_SLASH.test(uri)) return "an escaped slash in uri beside another one, or beside letters beyond ASCII";
  if (EMPTY_PART.test(uri)) return "an empty query, fragment or parameter in uri";
  return uri === uri.normalize("NFKC") ? null : "letters in uri that are not in normal form (NFKC)";
}

function decode(uri: string): string | null {
  try {
    return decodeURIComponent(uri);
  } catch {
    return null;
  }
}

function faultOfPlace(parts: Parts): string | null {
  const { scheme, authority, path } = parts;
  if (scheme === "file") return isFile(parts) ? null : "a file: URI that is not file:/// and a path";
  if (path.includes("//") && authority !== undefined) return SLASHES;
  if (!authority && (path === "" || (authority === undefined && path.startsWith("/")))) return SLASHES;
  if (authority === undefined) return null;
  return (SPECIAL.has(scheme) ? SPECIAL_AUTHORITY : AUTHORITY).test(authority) ? null : HOST;
}

/** A file URI (RFC 8089) has neither query nor fragment: servers that turn a URI into a path drop them, and a host too. */
function isFile({ authority, path, query, fragment }: Parts): boolean {
  return authority === "" && path !== "" && !path.includes("//") && query === undefined && fragment === undefined;
}

const SLASHES = "more or fewer slashes in uri than it needs";
const HOST = "a host in uri that is not lower-case ASCII, or what stands beside it";

/**
 * True if the WHATWG parser returns the URI unchanged. It adds "/" to a URL without a path, such as `https://host`: both
 * spellings mean the same.
 */
function isUnchanged(uri: string, { scheme, path, query, fragment }: Parts): boolean {
  const plain = uri.replaceAll(/\P{ASCII}+/gu, encodeURIComponent);
  const isBare = SPECIAL.has(scheme) && path === "" && query === undefined && fragment === undefined;
  return URL.parse(plain)?.href === (isBare ? `${plain}/` : plain);
}
