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
  return decimalOf(word) === decimalOf(String(number));
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
