// The coverage-guided loop for one target: inputs that reach code that none reached before are kept and mutated again.
// Runs in a thread of its own (coverage-worker.ts), so that an input that never ends can be told from outside.
import { startCoverage, type BlockCoverage } from "./block-coverage.ts";
import { mutate } from "./mutate.ts";
import { createRandom, type Random } from "./random.ts";
import type { Target } from "./targets/target.ts";

const MAX_INPUT = 64 * 1024;
/** CPU time for one input of at most 64 KiB. */
const MAX_CPU_MS = 50;
/** An input is slow if it is slow each time: the first runs of code are. */
const SLOW_TRIES = 10;
/** Coverage is looked at once for so many inputs: it costs as much as some of them. */
const BATCH = 64;

export interface LoopOptions {
  readonly target: Target;
  readonly corpus: readonly Buffer[];
  readonly seed: number;
  readonly untilMs: number;
  /** Called with each input before it runs. */
  readonly onInput: (bytes: Buffer) => void;
  readonly onFinding: (finding: Finding) => void;
  readonly onProgress: (progress: Progress) => void;
}

export interface Finding {
  /** `slow` is a suspicion: code under coverage is slower, and so is a thread beside others. */
  readonly kind: "broken" | "slow";
  readonly what: string;
  readonly input: Buffer;
}

export interface Progress {
  readonly runs: number;
  readonly corpus: number;
  readonly blocks: number;
}

/** @returns the inputs that together reach every block that was reached, the shortest first */
export function runLoop(options: LoopOptions): Buffer[] {
  const { target, untilMs } = options;
  const random = createRandom(options.seed);
  const coverage = startCoverage((url) => url.includes("/src/"));
  const tokens = target.tokens.map((token) => Buffer.from(token));
  const seen = new Set<string>();
  const kept: Buffer[] = [];
  let runs = 0;
  const runAll = (inputs: readonly Buffer[]) => {
    for (const input of inputs) runOne(options, input);
    runs += inputs.length;
    if (!hasNew(coverage.take(), seen)) return;
    for (const input of inputs) {
      runOne(options, input);
      if (addAll(coverage.take(), seen)) kept.push(input);
    }
  };
  coverage.take();
  for (const input of [...target.seeds.map((seed) => Buffer.from(seed)), ...options.corpus]) runAll([input]);
  while (Date.now() < untilMs) {
    runAll(Array.from({ length: BATCH }, () => nextInput(random, kept, tokens)));
    options.onProgress({ runs, corpus: kept.length, blocks: seen.size });
  }
  const small = smallestCorpus(options, coverage, kept);
  coverage.stop();
  return small;
}

function nextInput(random: Random, kept: readonly Buffer[], tokens: readonly Buffer[]): Buffer {
  let input = random.pick(kept);
  if (random.oneIn(10)) input = Buffer.concat([input.subarray(0, random.below(input.length + 1)), random.pick(kept)]);
  for (let i = random.below(3); i >= 0; i -= 1) input = mutate(input, random, tokens);
  return (random.oneIn(100) ? blownUp(input, random) : input).subarray(0, MAX_INPUT);
}

/** A part of it many times over: what takes more than linear time shows itself so. */
function blownUp(input: Buffer, random: Random): Buffer {
  const at = random.below(input.length + 1);
  const end = Math.min(input.length, at + 1 + random.below(40));
  const part = input.subarray(at, end);
  const times = part.length === 0 ? 0 : Math.floor(random.below(MAX_INPUT) / part.length);
  const many = Array.from({ length: times }, () => part);
  return Buffer.concat([input.subarray(0, at), ...many, input.subarray(end)]);
}

function runOne({ target, onInput, onFinding }: LoopOptions, input: Buffer): void {
  onInput(input);
  try {
    const ms = timed(target, input);
    if (ms > MAX_CPU_MS) onFinding({ kind: "slow", what: `${Math.round(ms)} ms of CPU under coverage`, input });
  } catch (error) {
    onFinding({ kind: "broken", what: error instanceof Error ? (error.stack ?? error.message) : String(error), input });
  }
}

/** Milliseconds of CPU for an input that is slow without coverage too; null for one that is not. */
export function slowness(target: Target, input: Buffer): number | null {
  let ms = Infinity;
  for (let i = 0; ms > MAX_CPU_MS && i < SLOW_TRIES; i += 1) ms = Math.min(ms, timed(target, input));
  return ms > MAX_CPU_MS ? ms : null;
}

/** @returns milliseconds of CPU */
function timed(target: Target, input: Buffer): number {
  const before = process.threadCpuUsage();
  target.run(input);
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1000;
}

function hasNew(blocks: ReadonlySet<string>, seen: ReadonlySet<string>): boolean {
  for (const block of blocks) if (!seen.has(block)) return true;
  return false;
}

function addAll(blocks: ReadonlySet<string>, seen: Set<string>): boolean {
  const before = seen.size;
  for (const block of blocks) seen.add(block);
  return seen.size > before;
}

function smallestCorpus(options: LoopOptions, coverage: BlockCoverage, kept: readonly Buffer[]): Buffer[] {
  const covered = new Set<string>();
  const inputs = [...kept].sort((a, b) => a.length - b.length);
  coverage.take();
  return inputs.filter((input) => {
    runOne({ ...options, onFinding: () => {} }, input);
    return addAll(coverage.take(), covered);
  });
}
