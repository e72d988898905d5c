// What the spellings of one resource URI have in common, for deny lists: a pattern that denies one spelling denies them all. Pure.
// RFC 3986 §6.2.2 and §6.2.3, and beyond them: to deny too much is safe, to take two resources for one to allow would not be.

/** Scheme, and authority with its slashes. A pattern may have `*` in both. */
const HEAD = /^([^:/?#]+:)?(\/\/[^/?#]*)?/;

/**
 * The keys of a URI or of a template, several where a server may read the text in several ways: with and without query and
 * fragment, as a resource and as a folder. One of them equals {@link patternKey} of each spelling of the same resource.
 */
export function uriKeys(uri: string): string[] {
  const text = decodeAll(uri);
  const readings = new Set([text, textBefore(text, "#"), textBefore(text, "?"), text.replaceAll(/[?#]/g, "/")]);
  return [...readings].flatMap((reading) => {
    const key = keyOf(reading);
    return key.endsWith("/") ? [key] : [key, `${key}/`];
  });
}

/** The key of a pattern of a deny list: dot segments are solved, what is between two `*` stays. */
export function patternKey(pattern: string): string {
  return keyOf(decodeAll(pattern));
}

/** Scheme and host are in lower case, a port, dot segments, repeated slashes and a last one are gone. */
function keyOf(text: string): string {
  const head = HEAD.exec(text)?.[0] ?? "";
  const rest = text.slice(head.length);
  const end = /[?#]/.exec(rest)?.index ?? rest.length;
  const segments: string[] = [];
  for (const segment of rest.slice(0, end).split("/")) {
    if (segment === "..") segments.pop();
    else if (segment !== "" && segment !== ".") segments.push(segment);
  }
  return [headKey(head), ...segments].join("/") + rest.slice(end);
}

/** RFC 8089 §2 and appendix B: `file:/x`, `file:///x` and `file://localhost/x` name one file. */
function headKey(head: string): string {
  const key = head.toLowerCase().replace(/\.?(?::\d*)?$/, "");
  return /^file:?(?:\/\/(?:localhost)?)?$/.test(key) ? "file://" : key;
}

/** Decodes as often as servers that decode twice do, and twice more. What is no UTF-8 stays. */
function decodeAll(text: string): string {
  let decodedText = text;
  for (let round = 0; round < 4; round += 1) decodedText = decodedText.replaceAll(/(?:%[0-9A-Fa-f]{2})+/g, decoded);
  return decodedText.normalize("NFKC").replaceAll("\\", "/");
}

function decoded(escapes: string): string {
  try {
    return decodeURIComponent(escapes);
  } catch {
    return escapes.toUpperCase();
  }
}

function textBefore(text: string, mark: string): string {
  return text.split(mark, 1)[0] ?? text;
}
