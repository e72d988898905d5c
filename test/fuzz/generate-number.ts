// Numbers in spellings that readers could take for different values (RFC 8259 §6). Pure.
import type { Random } from "./random.ts";

const KNOWN = [
  ...["0", "-0", "0.0", "-0.0", "0e0", "1e0", "1E+2", "1e-7", "1.0", "10", "100", "0.1", "0.30000000000000004", "1e21"],
  ...["9007199254740991", "9007199254740992", "9007199254740993", "9007199254740993.0", "9007199254740992.0"],
  ...[
    "-9007199254740993.0",
    "9007199254740993e0",
    "90071992547409930e-1",
    "1e16",
    "1e22",
    "1e23",
    "123456789012345678e1",
  ],
  ...["100.00000000000000001", "4.9e-324", "5e-324", "2e-324", "1e-400", "1e-324", "2.2250738585072011e-308"],
  ...["1.7976931348623157e308", "1.7976931348623158e308", "1.7976931348623159e308", "0.1e-1000", "0e999999999"],
  ...["4294967296", "2147483648", "-2147483649", "18446744073709551615", "9223372036854775807", "0.000001", "1e-6"],
];
const EDGES = [2 ** 31, 2 ** 32, 2 ** 53, 2 ** 63, 2 ** 64, 10 ** 15, 10 ** 16, 10 ** 17, 10 ** 21];

export function numberText(random: Random): string {
  const kind = random.below(7);
  if (kind === 0) return random.pick(KNOWN);
  if (kind === 1) return String(random.below(2000) - 1000);
  if (kind === 2) return `${sign(random)}${digits(random, 20)}${fraction(random)}${exponent(random)}`;
  if (kind === 3) return nearEdge(random);
  if (kind === 4) return String(anyDouble(random));
  if (kind === 5) return otherSpelling(String(random.below(1_000_000) / 10 ** random.below(6)), random);
  return otherSpelling(String(anyDouble(random)), random);
}

function sign(random: Random): string {
  return random.oneIn(3) ? "-" : "";
}

function digits(random: Random, most: number): string {
  const count = 1 + random.below(most);
  let text = String(1 + random.below(9));
  while (text.length < count) text += random.oneIn(3) ? "0" : String(random.below(10));
  return count === 1 && random.oneIn(4) ? "0" : text;
}

function fraction(random: Random): string {
  if (random.oneIn(2)) return "";
  let text = ".";
  const count = 1 + random.below(random.oneIn(6) ? 40 : 18);
  for (let i = 0; i < count; i += 1) text += random.oneIn(3) ? "0" : String(random.below(10));
  return text;
}

function exponent(random: Random): string {
  if (random.oneIn(2)) return "";
  const size = random.oneIn(4) ? random.below(340) : random.below(25);
  return `${random.pick(["e", "E"])}${random.pick(["", "+", "-"])}${random.oneIn(5) ? "0" : ""}${size}`;
}

function nearEdge(random: Random): string {
  const edge = BigInt(random.pick(EDGES)) + BigInt(random.below(7) - 3);
  return `${sign(random)}${edge}${random.pick(["", "", ".0", ".5", "e0", "E+0", ".00000000000000001"])}`;
}

/** Any finite double: its bits are random, or it is the outcome of a calculation, as programs send them. */
function anyDouble(random: Random): number {
  if (random.oneIn(2)) return (random.below(1000) / 10) * (random.below(1000) / 7) + random.below(100) / 3;
  const view = new DataView(new ArrayBuffer(8));
  view.setUint32(0, random.below(2 ** 32));
  view.setUint32(4, random.below(2 ** 32));
  const found = view.getFloat64(0);
  return Number.isFinite(found) ? found : 0.5;
}

/** The same number in another spelling, or nearly the same. */
function otherSpelling(text: string, random: Random): string {
  const [mantissa = "0", power = "0"] = text.split("e");
  const [whole = "0", rest = ""] = mantissa.split(".");
  if (random.oneIn(3)) return `${whole}.${rest}${"0".repeat(random.below(4) + 1)}e${Number(power)}`;
  if (random.oneIn(2))
    return `${whole}.${rest === "" ? "0" : rest}${random.pick(["0", "1", "00000000000001"])}e${power}`;
  const moved = `${whole}${rest}`.replace(/^(-?)0+(?=\d)/, "$1");
  return `${moved}e${Number(power) - rest.length}`;
}
