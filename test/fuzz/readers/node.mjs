// How V8 and WHATWG URL of one version of Node read JSON texts and URIs. One child for the fuzz driver (test/fuzz/driver.ts
// has the protocol); plain JavaScript, because Node 20 runs it too.
import { readSync, writeSync } from "node:fs";

const JSON_KIND = 1;
const REFUSED = 0xffffffff;

/** The exact shortest decimal of a number, as digits and an exponent. */
function decimalForm(text) {
  const [, sign, whole, fraction = "", exponent = "0"] = /^([-+]?)(\d+)(?:\.(\d+))?(?:[eE]([-+]?\d+))?$/.exec(text);
  const digits = (whole + fraction).replace(/^0+/, "");
  const kept = digits.replace(/0+$/, "");
  if (kept === "") return "#0e0;";
  const power = Number(exponent) - fraction.length + (digits.length - kept.length);
  return `#${sign === "-" ? "-" : ""}${kept}e${power};`;
}

const quoted = (text) => (/["\\]/.test(text) ? `"${text.replace(/["\\]/g, "\\$&")}"` : `"${text}"`);
const hasSurrogate = /[\ud800-\udfff]/;
/** By code points, as UTF-8 sorts. */
const byBytes = (a, b) =>
  hasSurrogate.test(a) || hasSurrogate.test(b) ? Buffer.compare(Buffer.from(a), Buffer.from(b)) : a < b ? -1 : 1;

function canonical(value) {
  if (value === null) return "z";
  if (value === true) return "t";
  if (value === false) return "f";
  if (typeof value === "number") return decimalForm(String(value));
  if (typeof value === "string") return quoted(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join("")}]`;
  const names = Object.keys(value).sort(byBytes);
  return `{${names.map((name) => quoted(name) + canonical(value[name])).join("")}}`;
}

function uriForm(text) {
  const url = new URL(text);
  const userinfo = url.username + (url.password === "" ? "" : `:${url.password}`);
  const authority = (userinfo === "" ? "" : `${userinfo}@`) + url.host;
  return [url.protocol.slice(0, -1), authority, url.pathname, url.search.slice(1), url.hash.slice(1)].join("\n");
}

function read(kind, bytes) {
  const text = bytes.toString("utf8");
  try {
    return Buffer.from(kind === JSON_KIND ? canonical(JSON.parse(text)) : uriForm(text));
  } catch {
    return null;
  }
}

/** Every complete frame, as one answer; what is left over. */
function answer(input) {
  const parts = [];
  let at = 0;
  while (input.length - at >= 5) {
    const end = at + 5 + input.readUInt32LE(at + 1);
    if (end > input.length) break;
    const form = read(input[at] & 0x7f, input.subarray(at + 5, end));
    const head = Buffer.alloc(4);
    head.writeUInt32LE(form === null ? REFUSED : form.length);
    parts.push(head);
    if (form !== null) parts.push(form);
    at = end;
  }
  writeAll(Buffer.concat(parts));
  return input.subarray(at);
}

function writeAll(bytes) {
  for (let at = 0; at < bytes.length;) {
    try {
      at += writeSync(1, bytes, at);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
    }
  }
}

const chunk = Buffer.alloc(1 << 16);
let held = Buffer.alloc(0);
for (;;) {
  const count = readSync(0, chunk);
  if (count === 0) break;
  held = answer(Buffer.concat([held, chunk.subarray(0, count)]));
}
