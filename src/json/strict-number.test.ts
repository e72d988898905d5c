import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { serdeNumber } from "./strict-number.ts";
import { readJson } from "./strict-reader.ts";

const ONE_READING = { maxDepth: 64, maxMembers: 10_000, oneReading: true };
const detailOf = (number: string, limits = ONE_READING) => {
  const read = readJson(Buffer.from(`[${number}]`), limits);
  return read.ok ? "ok" : read.detail;
};

describe("numbers that every reader takes for the same", () => {
  it.each([
    ...["0", "-0", "0.0", "-0.0", "0e5", "0E-9", "0.000e1", "1", "-1", "0.1", "1.50", "1E5", "1e2", "1e+02", "1.0"],
    ...["9007199254740991", "-9007199254740991", "9007199254740992.0", "1e20", "1e22", "1e23"],
    ...["0.30000000000000004", "123456789.12345678", "5e-324", "4.9406564584124654e-324", "2.2250738585072014e-308"],
    ...["1.7976931348623157e308", "100000000000000000000.0", "0.1000000000000000055511151231257827e0", "12345678.9000"],
    ...["1e0000000000000000000005", `1.${"0".repeat(900)}`, "-273.15", "0.000001", "1e-7", "0.1e1"],
  ])("%s", (number) => {
    const isOne = !number.startsWith("0.1000000000000000055") && !number.startsWith("4.94");
    expect(detailOf(number)).toBe(isOne ? "ok" : "a number that a double would change: send it as text");
  });

  it.each([
    ...[
      "9007199254740993.0",
      "-9007199254740993.0",
      "9007199254740993e0",
      "900719925474099.3e1",
      "100.00000000000000001",
    ],
    ...["1e-400", "-1e-400", "1e-324", `0.${"0".repeat(400)}1`, "0.1234567890123456789", "1.7976931348623158e308"],
    ...["3.14159265358979323846", "1.00000000000000000000000001", "123456789012345678901234567890.5", "1.1e-324"],
    ...[`1${"0".repeat(30)}1.0`, "4.351e-322"],
  ])("%s is refused", (number) => expect(detailOf(number)).toMatch(/send it as text$/));

  it.each(["9007199254740993", "-9007199254740992", "12345678901234567000", "18446744073709551615"])(
    "%s is an integer that others do not round",
    (number) => expect(detailOf(number)).toBe("an integer beyond 2^53 - 1: send it as text"),
  );

  it("of so many digits that some readers refuse is refused", () => {
    expect(detailOf(`0.1${"0".repeat(1000)}`)).toMatch(/more digits/);
  });

  it.each(["9007199254740991.0", "-9007199254740991.0", "8e-84", "1e-23"])(
    "a whole number, or one far from 1, that a reader takes for another that rounds twice is refused: %s",
    (number) => expect(detailOf(number)).toMatch(/send it as text/),
  );

  it("a fraction stays, and its neighbour is never beyond a bound of 15 digits", () => {
    expect([detailOf("107.66000000000001"), detailOf("0.30000000000000004")]).toEqual(["ok", "ok"]);
    const bounds = fc.tuple(fc.integer({ min: 1, max: 999_999_999_999_999 }), fc.integer({ min: 0, max: 22 }));
    const steps = fc.integer({ min: 0, max: 3 });
    fc.assert(
      fc.property(bounds, steps, ([digits, power], below) => {
        const bound = digits / 10 ** power;
        const number = bound * (1 - below * Number.EPSILON);
        if (/e/.test(String(number))) return;
        const read = serdeNumber(String(number)).value;
        expect([number, read <= bound]).toEqual([number, number <= bound]);
      }),
      { numRuns: 5000 },
    );
  });

  it("of at most 15 digits, with zeros behind them, is read exactly or refused", () => {
    const zeros = fc.integer({ min: 0, max: 12 }).map((count) => "0".repeat(count));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 99_999_999_999_999 }), zeros, (digits, behind) => {
        const text = `${Math.floor(digits / 1e7)}.${String(digits % 1e7).padStart(7, "0")}${behind}`;
        if (detailOf(text) === "ok") expect([text, serdeNumber(text).value]).toEqual([text, Number(text)]);
      }),
      { numRuns: 5000 },
    );
    expect(detailOf("1.50000")).toBe("ok");
  });

  it("only where policy decides", () => {
    const plain = { maxDepth: 64, maxMembers: 10, oneReading: false };
    for (const number of ["100.00000000000000001", "12345678901234567890"]) expect(detailOf(number, plain)).toBe("ok");
  });

  it("every double as JavaScript writes it", () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (double) => {
        const text = Math.abs(double) >= 2 ** 53 ? double.toExponential() : String(double);
        const isUsual = Math.abs(double) < 1e15 && Math.abs(double) >= 1e-6;
        if (isUsual) expect([text, detailOf(text)]).toEqual([text, "ok"]);
      }),
      { numRuns: 3000 },
    );
  });

  it("against exact arithmetic: accepted is what its double is written as", () => {
    const digits = fc.stringMatching(/^(?:0|[1-9]\d{0,20})\.\d{1,20}$/);
    const exact = (text: string) => {
      const [whole = "", fraction = ""] = text.split(".");
      return BigInt(whole + fraction.padEnd(60, "0"));
    };
    fc.assert(
      fc.property(digits, (text) => {
        const written = Number(text).toFixed(0).length > 21 ? "" : plain(Number(text));
        const same = written !== "" && exact(written) === exact(text);
        const isFree = !Number.isInteger(Number(text)) && !text.endsWith("0");
        const isAlike = isFree || serdeNumber(text).value === Number(text);
        expect([text, detailOf(text) === "ok"]).toEqual([text, same && isAlike]);
      }),
      { numRuns: 3000 },
    );
  });
});

/** A double as JavaScript writes it, without an exponent. */
function plain(double: number): string {
  const [mantissa = "", power = "0"] = String(double).split("e");
  const [whole = "", fraction = ""] = mantissa.split(".");
  const at = whole.length + Number(power);
  const all = whole + fraction;
  if (at <= 0) return `0.${"0".repeat(-at)}${all}`;
  return all.length <= at ? `${all.padEnd(at, "0")}.0` : `${all.slice(0, at)}.${all.slice(at)}`;
}
