// The thread of one target's coverage-guided run. What it runs is in shared memory, for the case that it does not come back.
import { parentPort, workerData } from "node:worker_threads";
import { runLoop, type Finding, type Progress } from "./coverage-loop.ts";
import { TARGETS } from "./targets/index.ts";

export interface WorkerInput {
  readonly target: string;
  readonly corpus: readonly Uint8Array[];
  readonly seed: number;
  readonly untilMs: number;
  /** A counter of inputs and the length of the one that runs, as two 32-bit numbers, and the input. */
  readonly shared: SharedArrayBuffer;
}

export type WorkerMessage =
  | { readonly kind: "finding"; readonly finding: Finding }
  | { readonly kind: "progress"; readonly progress: Progress }
  | { readonly kind: "corpus"; readonly corpus: readonly Uint8Array[] };

const PROGRESS_MS = 1000;
const HEAD_BYTES = 8;

const { target: name, corpus, seed, untilMs, shared } = workerData as WorkerInput;
const target = TARGETS[name];
if (target === undefined) throw new Error(`no target ${name}`);
const head = new Int32Array(shared, 0, 2);
const current = new Uint8Array(shared, HEAD_BYTES);
const say = (message: WorkerMessage) => parentPort?.postMessage(message);
let said = 0;

const small = runLoop({
  target,
  corpus: corpus.map((bytes) => Buffer.from(bytes)),
  seed,
  untilMs,
  onInput(bytes) {
    current.set(bytes);
    head[1] = bytes.length;
    Atomics.add(head, 0, 1);
  },
  onFinding: (finding) => say({ kind: "finding", finding }),
  onProgress(progress) {
    if (Date.now() - said < PROGRESS_MS) return;
    said = Date.now();
    say({ kind: "progress", progress });
  },
});
say({ kind: "corpus", corpus: small });
