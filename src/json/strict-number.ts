// The JSON numbers that every parser reads as the same number. Pure; part of the strict reader.

const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const PARTS = /^-?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;
/** Sign, point and at most 14 digits: any double keeps 15 (IEEE 754, DBL_DIG). */
const SHORT = 16;

/** True for the grammar of RFC 8259 §6. */
export function isNumber(word: string): boolean {
  return NUMBER.test(word);
}

/**
 * True if the literal has the same value as its double when that is printed. Otherwise a parser with decimals or big
 * integers (Java's BigDecimal, Python's int, Go's json.Number) reads another number than policy: 9007199254740993.0,
 * 100.00000000000000001, 1e-400. All spellings of one value (1.50, 1E2, -0.0) are accepted.
 */
export function isDoubleValue(word: string, number: number): boolean {
  if (word.length <= SHORT && !/[eE]/.test(word)) return true;
  if (decimalOf(word) !== decimalOf(String(number))) return false;
  const { value, power } = serdeNumber(word);
  // Integers are identifiers, so must be exact. A fraction may be the neighbouring double for serde_json (docs/policy.md).
  return (
    value === Math.abs(number) ||
    (!Number.isInteger(number) && Math.abs(power) <= MAX_EXACT_POWER && !PADDED.test(word))
  );
}

const MAX_SIGNIFICAND = 2n ** 64n - 1n;
/** The largest power of ten that a double has, and the largest that it has exactly. */
const MAX_POWER = 308;
const MAX_EXACT_POWER = 22;
/** Trailing zeros make the integer of digits longer, so that even 15 significant digits may no longer be exact. */
const PADDED = /0(?:[eE]|$)/;

/**
 * The absolute value as Rust's serde_json reads it without `float_roundtrip` (its default): the digits as one integer of 64
 * bits, scaled by a power of ten, both rounded. For some numbers of 16 or 17 digits the result is the neighbour of the
 * correctly rounded double.
 */
export function serdeNumber(word: string): SerdeNumber {
  const [, whole = "", fraction = "", exponent = "0"] = PARTS.exec(word) ?? [];
  const { significand, count } = leadingDigits(whole + fraction);
  const power = whole.length - count + Number(exponent);
  let value = Number(significand);
  let left = power;
  for (; left < -MAX_POWER; left += MAX_POWER) value /= Number(`1e${MAX_POWER}`);
  const scale = Number(`1e${Math.min(Math.abs(left), MAX_POWER)}`);
  return { value: left < 0 ? value / scale : value * scale, power };
}

/** A number with the steps in which it was rounded. */
interface SerdeNumber {
  readonly value: number;
  /** The power of ten of the last digit that fits. */
  readonly power: number;
}

/** The leading digits that fit into 64 bits, and their number. */
function leadingDigits(digits: string): { readonly significand: bigint; readonly count: number } {
  let significand = 0n;
  let count = 0;
  for (; count < digits.length; count += 1) {
    const next = significand * 10n + BigInt(digits[count] ?? "0");
    if (next > MAX_SIGNIFICAND) break;
    significand = next;
  }
  return { significand, count };
}

/** The canonical decimal of a number: significant digits, and the power of ten of the last. No sign. */
function decimalOf(word: string): string {
  const [, whole = "", fraction = "", exponent = "0"] = PARTS.exec(word) ?? [];
  const digits = trimZeros(whole + fraction);
  if (digits.text === "") return "0";
  return `${digits.text}e${Number(exponent) - fraction.length + digits.dropped}`;
}

/** Removes zeros at both ends. A loop, because a regular expression is quadratic: it begins again at each inner zero. */
function trimZeros(digits: string): { readonly text: string; readonly dropped: number } {
  let start = 0;
  let end = digits.length;
  while (start < end && digits.charCodeAt(start) === 0x30) start += 1;
  while (end > start && digits.charCodeAt(end - 1) === 0x30) end -= 1;
  return { text: digits.slice(start, end), dropped: digits.length - end };
}
