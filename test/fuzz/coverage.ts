// `npm run fuzz:coverage [target …] [--seconds N] [--seed S]`: the coverage-guided run of one target after the other
// (docs/fuzzing.md). Keeps the corpus in test/corpus/NAME. Exits with 1 for a crash, a hang, or what must hold and does not.
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { slowness, type Finding } from "./coverage-loop.ts";
import type { WorkerInput, WorkerMessage } from "./coverage-worker.ts";
import { CORPUS, INPUTS, inputsOf } from "./target-corpus.ts";
import { TARGETS } from "./targets/index.ts";

/** An input that runs so long is taken for one that never ends: much more than the machine's load explains. */
const HANG_MS = 60_000;
const SHARED_BYTES = 8 + 64 * 1024;
/** Of one target's corpus. */
const MAX_CORPUS_BYTES = 20_000;
/** Of one kind, by its first line, so many are kept. */
const KEPT_OF_A_KIND = 1;
const PROGRESS_MS = 10_000;

function save(target: string, bytes: Uint8Array): string {
  const file = join(CORPUS, target, `crash-${createHash("sha256").update(bytes).digest("hex").slice(0, 12)}`);
  mkdirSync(join(CORPUS, target), { recursive: true });
  writeFileSync(file, bytes);
  return file;
}

/** Crashes stay; what only reached some code is replaced by what reaches it now. */
function saveCorpus(target: string, corpus: readonly Uint8Array[]): void {
  const lines: string[] = [];
  let bytes = 0;
  for (const input of corpus) {
    bytes += input.length;
    if (bytes <= MAX_CORPUS_BYTES) lines.push(Buffer.from(input).toString("base64"));
  }
  mkdirSync(join(CORPUS, target), { recursive: true });
  writeFileSync(join(CORPUS, target, INPUTS), lines.map((line) => `${line}\n`).join(""));
}

function slowText(name: string, input: Buffer): string | null {
  const target = TARGETS[name];
  const ms = target === undefined ? null : slowness(target, input);
  return ms === null ? null : `${Math.round(ms)} ms of CPU for ${input.length} bytes`;
}

interface Findings {
  readonly target: string;
  readonly kinds: Map<string, number>;
}

function note({ target, kinds }: Findings, { kind: sort, what: first, input }: Finding): void {
  const what = sort === "slow" ? slowText(target, Buffer.from(input)) : first;
  if (what === null) return;
  const kind = what.split("\n", 1)[0]?.replaceAll(/\d+/g, "n") ?? "";
  const count = (kinds.get(kind) ?? 0) + 1;
  kinds.set(kind, count);
  if (count > KEPT_OF_A_KIND) return;
  console.log(`${target}: ${what}\n  input kept as ${save(target, input)}`);
}

/** Resolves when its time is over. @returns kinds of findings */
async function fuzzTarget(target: string, seconds: number, seed: number): Promise<number> {
  const findings: Findings = { target, kinds: new Map() };
  const shared = new SharedArrayBuffer(SHARED_BYTES);
  const input: WorkerInput = { target, corpus: inputsOf(target), seed, untilMs: Date.now() + seconds * 1000, shared };
  const worker = new Worker(join(import.meta.dirname, "coverage-worker.ts"), { workerData: input });
  const stopWatching = watch(shared, (bytes) => {
    note(findings, { kind: "broken", what: `it does not end within ${HANG_MS / 1000} s`, input: bytes });
    void worker.terminate();
  });
  let said = 0;
  await new Promise<void>((done, failed) => {
    worker.on("message", (message: WorkerMessage) => {
      if (message.kind === "finding") note(findings, message.finding);
      else if (message.kind === "corpus") saveCorpus(target, message.corpus);
      else if (Date.now() - said > PROGRESS_MS) {
        said = Date.now();
        const { runs, corpus, blocks } = message.progress;
        console.log(
          `${target}: ${runs} inputs, ${blocks} blocks, corpus ${corpus}, kinds of findings ${findings.kinds.size}`,
        );
      }
    });
    worker.on("error", failed).on("exit", () => done());
  });
  stopWatching();
  return findings.kinds.size;
}

/** Looks whether the counter of inputs goes on. */
function watch(shared: SharedArrayBuffer, onHang: (input: Buffer) => void): () => void {
  const head = new Int32Array(shared, 0, 2);
  let last = { count: -1, at: Date.now() };
  const timer = setInterval(() => {
    const count = Atomics.load(head, 0);
    if (count !== last.count) last = { count, at: Date.now() };
    else if (Date.now() - last.at > HANG_MS) {
      clearInterval(timer);
      onHang(Buffer.from(new Uint8Array(shared, 8, head[1])));
    }
  }, 1000);
  return () => clearInterval(timer);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: "string", default: "60" }, seed: { type: "string" } },
});
const known = Object.keys(TARGETS);
const wrong = positionals.find((name) => !known.includes(name));
if (wrong !== undefined) {
  console.error(`"${wrong}" is no target; known: ${known.join(", ")}`);
  process.exit(2);
}
let kinds = 0;
for (const target of positionals.length === 0 ? known : positionals) {
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
  console.log(`${target}: ${values.seconds} s, seed ${seed}`);
  kinds += await fuzzTarget(target, Number(values.seconds), seed);
}
console.log(`${kinds} kinds of findings`);
process.exitCode = kinds === 0 ? 0 : 1;
