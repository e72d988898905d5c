// The states of the incremental rewriter, as a table: the next state, or an action, for each state and byte (RFC 8259). Pure.

/** States between tokens. Two first: a value may begin. */
export const VALUE = 0;
export const VALUE_OR_END = 1;
export const NAME = 2;
export const NAME_OR_END = 3;
export const NEXT_COLON = 4;
export const COMMA_OR_END = 5;
/** Behind the text's value. */
export const DONE = 6;
/** Inside a string; {@link PLAIN} bytes stay there. */
export const STRING = 7;
const ESCAPE = 8;
const HEX = 9; // and three more
/** Inside numbers and words: all from here on. */
export const SCALAR = 13;
const MINUS = 13;
const ZERO = 14;
const INTEGER = 15;
const POINT = 16;
const FRACTION = 17;
const EXPONENT = 18;
const SIGN = 19;
const POWER = 20;
const WORDS = 21; // a state for each inner letter of each word

/** Actions: no state. */
export const FAULT = 128;
export const OPEN_OBJECT = 129;
export const OPEN_ARRAY = 130;
export const CLOSE = 131;
export const BEGIN_NAME = 132;
export const BEGIN_STRING = 133;
export const END_STRING = 134;
/** A word ends with this byte. */
export const END_WORD = 135;
/** A number ends before this byte, which is looked at again. */
export const END_NUMBER = 136;
export const COMMA = 137;

const STATES = 40;
const DIGITS = "0123456789";
const SPACE = " \n\r\t";

function tableOf(): Uint8Array {
  const table = new Uint8Array(STATES * 256).fill(FAULT);
  const on = (state: number, bytes: string, next: number) => {
    for (const byte of Buffer.from(bytes, "latin1")) table[(state << 8) | byte] = next;
  };
  for (let state = VALUE; state <= DONE; state += 1) on(state, SPACE, state);
  for (const state of [VALUE, VALUE_OR_END]) {
    on(state, "{", OPEN_OBJECT);
    on(state, "[", OPEN_ARRAY);
    on(state, '"', BEGIN_STRING);
    on(state, "-", MINUS);
    on(state, "0", ZERO);
    on(state, "123456789", INTEGER);
  }
  on(VALUE_OR_END, "]", CLOSE);
  on(NAME, '"', BEGIN_NAME);
  on(NAME_OR_END, '"', BEGIN_NAME);
  on(NAME_OR_END, "}", CLOSE);
  on(NEXT_COLON, ":", VALUE);
  on(COMMA_OR_END, ",", COMMA);
  on(COMMA_OR_END, "}]", CLOSE);
  fillStrings(table, on);
  fillNumbers(on);
  fillWords(on);
  return table;
}

type On = (state: number, bytes: string, next: number) => void;

function fillStrings(table: Uint8Array, on: On): void {
  for (let byte = 0x20; byte < 256; byte += 1) table[(STRING << 8) | byte] = STRING;
  on(STRING, '"', END_STRING);
  on(STRING, "\\", ESCAPE);
  on(ESCAPE, '"\\/bfnrt', STRING);
  on(ESCAPE, "u", HEX);
  for (let digit = 0; digit < 4; digit += 1)
    on(HEX + digit, `${DIGITS}abcdefABCDEF`, digit === 3 ? STRING : HEX + digit + 1);
}

function fillNumbers(on: On): void {
  on(MINUS, "0", ZERO);
  on(MINUS, "123456789", INTEGER);
  for (const state of [ZERO, INTEGER, FRACTION, POWER]) on(state, `,]}${SPACE}`, END_NUMBER);
  for (const state of [ZERO, INTEGER]) on(state, ".", POINT);
  for (const state of [ZERO, INTEGER, FRACTION]) on(state, "eE", EXPONENT);
  on(INTEGER, DIGITS, INTEGER);
  on(POINT, DIGITS, FRACTION);
  on(FRACTION, DIGITS, FRACTION);
  on(EXPONENT, "+-", SIGN);
  for (const state of [EXPONENT, SIGN, POWER]) on(state, DIGITS, POWER);
}

function fillWords(on: On): void {
  let state = WORDS;
  for (const [first = "", ...rest] of ["true", "false", "null"]) {
    for (const start of [VALUE, VALUE_OR_END]) on(start, first, state);
    rest.forEach((letter, i) => {
      on(state, letter, i === rest.length - 1 ? END_WORD : state + 1);
      state += 1;
    });
  }
}

/** `TABLE[(state << 8) | byte]` */
export const TABLE: Uint8Array = tableOf();

/** 1 for the bytes of a string that are neither its end nor an escape nor a fault. */
export const PLAIN: Uint8Array = TABLE.subarray(STRING << 8, (STRING + 1) << 8).map((next) =>
  next === STRING ? 1 : 0,
);
