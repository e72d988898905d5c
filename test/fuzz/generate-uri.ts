// Resource URIs (RFC 3986) and what URL libraries take for some. Pure.
import type { Random } from "./random.ts";

const SCHEMES = [
  ...["file", "http", "https", "ws", "ftp", "demo", "docs", "mcp+x", "urn", "data", "mailto", "javascript", "blob"],
  ...["FILE", "Https", "demO", "x-y.z", "a", "1a", "fi le", "ſcheme"],
];
const AFTER_SCHEME = ["://", "://", "://", "://", ":///", ":", ":/", ":\\\\", "://///", "", "%3a//"];
const HOSTS = [
  ...["", "example.com", "srv", "localhost", "127.0.0.1", "[::1]", "h:80", "h:443", "h:0080", "user@h", "u:p@h", "h:"],
  ...["EXAMPLE.com", "0x7f.1", "2130706433", "127.1", "ex%61mple", "ex%2fample", "é.example", "xn--9ca", "a..b", "h."],
  ...["ⓔxample", "a\\b", "@h", "u@v@h", "[::FFFF:1.2.3.4]", "[v1.x]", "a_b", "h%00", "resource", "a|b", "ａ"],
];
const SEGMENTS = [
  ...[
    "a",
    "b",
    "public",
    "private",
    "srv",
    "x.txt",
    "1",
    "",
    ".",
    "..",
    "...",
    "..a",
    "a.",
    ".a",
    "%2e",
    "%2E%2e",
    ".%2e",
  ],
  ...[
    "%2f",
    "a%2fb",
    "%5c",
    "a\\b",
    "\\",
    "..\\",
    " ",
    "a b",
    " ..",
    ".. ",
    ".. .",
    "%20",
    "%00",
    "%",
    "%zz",
    "%c3%a9",
    "é",
    "E\u0301",
  ],
  ...[
    "C:",
    "C|",
    "c%7c",
    "a;b",
    "..;",
    "..;x",
    ";",
    "a=b",
    "a&b",
    "~",
    "*",
    "{x}",
    "<",
    '"',
    "^",
    "`",
    "|",
    "'",
    "@",
    ":",
    "[",
    "]",
    "+",
  ],
  ...[
    "\u00a0",
    "\u3000",
    "\ufeff",
    "\u200b",
    "．．",
    "․․",
    "\u2024",
    "／",
    "😀",
    "\u00ad",
    "%252e%252e",
    "%u002e",
    "A",
    "%41",
    "%7E",
  ],
];
const QUERIES = ["", "", "", "?a=b", "?", "?../x", "?a b", "?é", "?%2e%2e/", "? ", "?a'b", "?a#b", "?x=/../"];
const FRAGMENTS = ["", "", "", "", "#", "#a", "#../x", "# ", "#a b", "#é", "##", "#`"];
const EXTRA = ["", "", "", "", "", "", " ", "  ", "\u00a0", "\u2028", "\u3000", "\u0085", "\ufeff", ".", "/", "%20"];
const LETTERS = [..."abz/./..%2e\\?#:@ ;[]|~+é"];

export function uriText(random: Random): string {
  const kind = random.below(8);
  if (kind < 4) return plain(random);
  return kind < 6 ? mutated(plain(random), random) : composed(random);
}

/** As servers have them. */
function plain(random: Random): string {
  const [scheme, authority] = random.pick([
    ["file", "//"],
    ["https", "//example.com"],
    ["demo", "//resource"],
    ["docs", "//x"],
  ] as const);
  const count = random.below(5);
  let text = `${scheme}:${authority}`;
  for (let i = 0; i <= count; i += 1)
    text += `/${random.pick(["a", "b1", "read-me.md", "%20x", "x_y", "A", "é", "~u"])}`;
  return text + random.pick(["", "", "", "/", "?q=1", "#part"]);
}

function composed(random: Random): string {
  const count = random.below(5);
  let text = random.pick(EXTRA) + random.pick(SCHEMES) + random.pick(AFTER_SCHEME) + random.pick(HOSTS);
  for (let i = 0; i < count; i += 1)
    text += random.pick(["/", "/", "/", "/", "\\", "//", "%2f"]) + random.pick(SEGMENTS);
  return text + random.pick(QUERIES) + random.pick(FRAGMENTS) + random.pick(EXTRA);
}

function mutated(text: string, random: Random): string {
  const letters = [...text];
  for (let i = random.below(3); i >= 0; i -= 1) {
    const at = random.below(letters.length + 1);
    const put = random.oneIn(5) ? String.fromCodePoint(0x20 + random.below(0x3000)) : random.pick(LETTERS);
    letters.splice(at, random.below(2), ...(random.oneIn(4) ? [] : [put]));
  }
  return letters.join("");
}
