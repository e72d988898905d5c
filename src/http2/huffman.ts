// The Huffman code of HPACK (RFC 7541 §5.2 and appendix B), decoded four bits at a time. Pure.
import { ConnectionFault, ERROR } from "./fault.ts";

/** Bits of the code of each symbol, 0 to 255 and EOS. The code is canonical: the lengths say it all. */
// prettier-ignore
const CODE_BITS = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
];
const EOS = 256;
const NIBBLES = 16;
/** The shortest code: a nibble completes at most one symbol. */
const SHORTEST_BITS = 5;

/** A node of the code's tree: its two children, or a symbol. */
interface Node {
  readonly children: [Node | null, Node | null];
  symbol: number;
  /** The number of an inner node. */
  state: number;
  /** True where the bits since the last symbol are at most seven ones: padding may end here (RFC 7541 §5.2). */
  isPadding: boolean;
}

const newNode = (): Node => ({ children: [null, null], symbol: -1, state: -1, isPadding: false });

function tree(): Node {
  const root = newNode();
  const bySize = CODE_BITS.map((bits, symbol) => ({ bits, symbol })).toSorted((a, b) => a.bits - b.bits);
  let code = 0;
  let length = 0;
  for (const { bits, symbol } of bySize) {
    code *= 2 ** (bits - length);
    length = bits;
    insert(root, { code, bits, symbol });
    code += 1;
  }
  return root;
}

function insert(root: Node, { code, bits, symbol }: { code: number; bits: number; symbol: number }): void {
  let node = root;
  for (let bit = bits - 1; bit >= 0; bit -= 1) {
    const side = ((code >>> bit) & 1) as 0 | 1;
    node = node.children[side] ??= newNode();
  }
  node.symbol = symbol;
}

/** Inner nodes, numbered from the root, 0. */
function states(root: Node): Node[] {
  const found = [root];
  root.state = 0;
  for (const node of found) {
    for (const child of node.children) {
      if (child === null || child.symbol >= 0) continue;
      child.state = found.push(child) - 1;
    }
  }
  let ones: Node | null = root;
  for (let bits = 0; bits < 8 && ones !== null; bits += 1) {
    ones.isPadding = true;
    ones = ones.children[1];
  }
  return found;
}

const INVALID = 0xffff;

interface Tables {
  /** By state and nibble: the next state, or INVALID. */
  readonly next: Uint16Array;
  /** By state and nibble: one more than the symbol that it completes, or 0. */
  readonly symbol: Uint16Array;
  /** By state: 1 where the text may end. */
  readonly mayEnd: Uint8Array;
}

function tables(): Tables {
  const root = tree();
  const nodes = states(root);
  const next = new Uint16Array(nodes.length * NIBBLES).fill(INVALID);
  const symbol = new Uint16Array(nodes.length * NIBBLES);
  const mayEnd = Uint8Array.from(nodes, ({ isPadding }) => (isPadding ? 1 : 0));
  for (const from of nodes) {
    for (let nibble = 0; nibble < NIBBLES; nibble += 1) {
      const step = follow(root, from, nibble);
      if (step === null) continue;
      next[from.state * NIBBLES + nibble] = step.state;
      symbol[from.state * NIBBLES + nibble] = step.symbol + 1;
    }
  }
  return { next, symbol, mayEnd };
}

/** Four bits on from a state. Null where they leave the code, or reach EOS, which may not be in a text. */
function follow(root: Node, from: Node, nibble: number): { state: number; symbol: number } | null {
  let node = from;
  let symbol = -1;
  for (let bit = 3; bit >= 0; bit -= 1) {
    const child = node.children[((nibble >>> bit) & 1) as 0 | 1];
    if (child === null || child.symbol === EOS) return null;
    if (child.symbol >= 0) symbol = child.symbol;
    node = child.symbol >= 0 ? root : child;
  }
  return { state: node.state, symbol };
}

const { next: NEXT, symbol: SYMBOL, mayEnd: MAY_END } = tables();
let scratch: Buffer = Buffer.allocUnsafe(512);

/**
 * Decodes a text. @returns it as latin1
 * @throws {ConnectionFault} `compression` for EOS in the text and for padding that is not the beginning of EOS
 */
export function huffmanText(bytes: Buffer, start: number, end: number): string {
  const most = Math.ceil(((end - start) * 8) / SHORTEST_BITS);
  if (scratch.length < most) scratch = Buffer.allocUnsafe(most);
  let state = 0;
  let length = 0;
  for (let at = start * 2; at < end * 2; at += 1) {
    const byte = bytes[at >>> 1] ?? 0;
    const place = state * NIBBLES + (at % 2 === 0 ? byte >>> 4 : byte & 0xf);
    state = NEXT[place] ?? INVALID;
    if (state === INVALID) throw invalid();
    const symbol = SYMBOL[place] ?? 0;
    if (symbol > 0) scratch[length++] = symbol - 1;
  }
  if (MAY_END[state] !== 1) throw invalid();
  return scratch.toString("latin1", 0, length);
}

const invalid = () => new ConnectionFault(ERROR.compression, "no text of the Huffman code");
