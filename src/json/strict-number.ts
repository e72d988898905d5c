// Which JSON numbers every reader takes for the same number. Pure; used by the strict JSON reader.

const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const PARTS = /^-?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;
/** Sign, point and at most 14 digits: any double keeps 15 (IEEE 754, DBL_DIG). */
const SHORT = 16;

/** True for the grammar of RFC 8259 §6. */
export function isNumber(word: string): boolean {
  return NUMBER.test(word);
}

/**
 * True if the number as written is the number that its double is written as. Else a reader of decimals or of larger
 * integers (Java's BigDecimal, Python's int, Go's json.Number) sees another one than policy: 9007199254740993.0,
 * 100.00000000000000001, 1e-400. Spellings of one value (1.50, 1E2, -0.0) are all fine.
 */
export function isDoubleValue(word: string, number: number): boolean {
  if (word.length <= SHORT && !/[eE]/.test(word)) return true;
  if (decimalOf(word) !== decimalOf(String(number))) return false;
  const { value, power } = roundedTwice(word);
  // Whole numbers are identifiers. A fraction may be its neighbour for those readers (docs/policy.md), and no other number.
  return (
    value === Math.abs(number) ||
    (!Number.isInteger(number) && Math.abs(power) <= MAX_EXACT_POWER && !PADDED.test(word))
  );
}

const MAX_SIGNIFICAND = 2n ** 64n - 1n;
/** The largest power of ten that a double has, and the largest that it has exactly. */
const MAX_POWER = 308;
const MAX_EXACT_POWER = 22;
/** Zeros behind the last digit make the integer longer than it need be: 15 digits would no longer be exact. */
const PADDED = /0(?:[eE]|$)/;

/**
 * The value without its sign, as a reader has it that takes the digits for one integer of 64 bits and scales it by a power of
 * ten, both rounded: Rust's serde_json without `float_roundtrip`, which is its default. For some numbers of 16 or 17 digits it
 * is the neighbour of the double that everybody else has.
 */
export function roundedTwice(word: string): RoundedTwice {
  const [, whole = "", fraction = "", exponent = "0"] = PARTS.exec(word) ?? [];
  const { significand, count } = leadingDigits(whole + fraction);
  const power = whole.length - count + Number(exponent);
  let value = Number(significand);
  let left = power;
  for (; left < -MAX_POWER; left += MAX_POWER) value /= Number(`1e${MAX_POWER}`);
  const scale = Number(`1e${Math.min(Math.abs(left), MAX_POWER)}`);
  return { value: left < 0 ? value / scale : value * scale, power };
}

interface RoundedTwice {
  readonly value: number;
  /** The power of ten of the last digit that was taken. */
  readonly power: number;
}

/** As many digits as 64 bits hold. */
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

/** The value of a number's digits in one spelling: significant digits, and the power of ten of the last. No sign. */
function decimalOf(word: string): string {
  const [, whole = "", fraction = "", exponent = "0"] = PARTS.exec(word) ?? [];
  const digits = trimZeros(whole + fraction);
  if (digits.text === "") return "0";
  return `${digits.text}e${Number(exponent) - fraction.length + digits.dropped}`;
}

/** Without zeros at either end. A pattern would begin anew at each zero of a run that is not the last. */
function trimZeros(digits: string): { readonly text: string; readonly dropped: number } {
  let start = 0;
  let end = digits.length;
  while (start < end && digits.charCodeAt(start) === 0x30) start += 1;
  while (end > start && digits.charCodeAt(end - 1) === 0x30) end -= 1;
  return { text: digits.slice(start, end), dropped: digits.length - end };
}
