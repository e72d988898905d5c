// For `node --import`: a process whose clock is wrong by CLOCK_SHIFT_MS.
const shift = Number(process.env["CLOCK_SHIFT_MS"] ?? 0);
const right = Date.now;
const RightDate = Date;

class ShiftedDate extends RightDate {
  constructor(...parts: [] | [string | number | Date]) {
    super(parts.length === 0 ? right() + shift : parts[0]);
  }
  static override now(): number {
    return right() + shift;
  }
}

globalThis.Date = ShiftedDate as DateConstructor;
