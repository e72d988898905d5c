// Makes the texts of a difference as few and as short as possible, each still one that we accept.
import { bodyCase, uriCase, type Case } from "./cases.ts";
import { areNeighbours, differenceOf, viewsFor, type Difference } from "./compare.ts";
import type { RecordedDifference } from "./differential.ts";
import { ReaderChild, WIRE_URI, type ReaderSpec } from "./reader-child.ts";

export interface Minimal {
  readonly texts: readonly string[];
  readonly difference: Difference;
}

interface Wanted {
  readonly spec: ReaderSpec;
  /** Reads what depends on no text before it. */
  readonly child: ReaderChild;
  readonly view: string;
  readonly what: string;
}

/** Null if it does not come again in a new child, with all that was kept of the texts before. */
export async function minimise({ difference, spec, history }: RecordedDifference): Promise<Minimal | null> {
  const child = new ReaderChild(spec);
  const wanted = { spec, child, view: difference.view, what: difference.what };
  try {
    for (const count of [1, 3, 30, 300, history.length]) {
      const cases = history.slice(-count);
      if (await together(wanted, cases)) return await shortest(wanted, cases);
    }
    return null;
  } finally {
    await child.stop();
  }
}

async function shortest(wanted: Wanted, cases: readonly Case[]): Promise<Minimal | null> {
  let kept = cases.length > 1 ? await fewer(wanted, cases) : cases;
  for (let i = 0; i < kept.length; i += 1) kept = await shorter(wanted, kept, i);
  const difference = await together(wanted, kept);
  return difference && { texts: kept.map(({ bytes }) => bytes.toString("utf8")), difference };
}

/** Leaves out runs of texts; the last one stays. */
async function fewer(wanted: Wanted, cases: readonly Case[]): Promise<readonly Case[]> {
  let kept = cases;
  for (let size = cases.length >> 1; size > 0; size >>= 1) {
    for (let at = 0; at + size < kept.length;) {
      const rest = [...kept.slice(0, at), ...kept.slice(at + size)];
      if (await together(wanted, rest)) kept = rest;
      else at += size;
    }
  }
  return kept;
}

/** Cuts parts out of one of the texts. */
async function shorter(wanted: Wanted, cases: readonly Case[], index: number): Promise<readonly Case[]> {
  let kept = cases;
  for (let size = Math.min(64, (kept[index]?.bytes.length ?? 0) >> 1); size > 0; size -= 1) {
    for (;;) {
      const next = await firstShorter(wanted, kept, { index, size });
      if (next === null) break;
      kept = next;
    }
  }
  return kept;
}

/** New children are dear: no more than so many for one text and size where texts depend on each other. */
const MAX_TRIES = 12;

async function firstShorter(
  wanted: Wanted,
  cases: readonly Case[],
  { index, size }: { index: number; size: number },
): Promise<readonly Case[] | null> {
  const old = cases[index];
  if (old === undefined) return null;
  const candidates: Case[] = [];
  for (let at = 0; at + size <= old.bytes.length; at += 1) {
    const text = Buffer.concat([old.bytes.subarray(0, at), old.bytes.subarray(at + size)]);
    const made = old.wire === WIRE_URI ? uriCase(text.toString("utf8")) : bodyCase(old.kind, text);
    if (made !== null) candidates.push(made);
  }
  if (cases.length === 1) {
    const found = await single(wanted, candidates);
    return found === null ? null : [found];
  }
  for (const made of candidates.slice(0, MAX_TRIES)) {
    const next = cases.with(index, made);
    if (await together(wanted, next)) return next;
  }
  return null;
}

/** The first of these that differs by itself. */
async function single(wanted: Wanted, cases: readonly Case[]): Promise<Case | null> {
  const answers = await wanted.child.read(cases);
  return cases.find((found, i) => differs(wanted, found, answers[i] ?? []) !== null) ?? null;
}

/** The difference of the last of these, read in order. */
async function together(wanted: Wanted, cases: readonly Case[]): Promise<Difference | null> {
  const answers = await readAll(wanted.spec, cases);
  const last = cases.at(-1);
  return last === undefined ? null : differs(wanted, last, answers.at(-1) ?? []);
}

function differs(wanted: Wanted, found: Case, forms: readonly (string | null)[]): Difference | null {
  const at = viewsFor(wanted.spec, found).findIndex(({ name }) => name === wanted.view);
  const view = viewsFor(wanted.spec, found)[at];
  const form = forms[at] ?? null;
  if (view === undefined || form === null) return null;
  const difference = differenceOf(wanted.spec, found, { view, form });
  if (difference === null || (wanted.spec.roundsTwice === true && areNeighbours(difference))) return null;
  return difference.what === wanted.what ? difference : null;
}

async function readAll(spec: ReaderSpec, cases: readonly Case[]): Promise<(string | null)[][]> {
  const child = new ReaderChild(spec);
  try {
    return await child.read(cases);
  } finally {
    await child.stop();
  }
}
