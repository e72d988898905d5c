// Keeps ended spans in a bounded queue and sends them in batches, one request at a time. I/O by the function that sends.
import { outsideSpans, type EndedSpan } from "./span.ts";

/** What became of one request of the exporter. */
export type SendResult =
  /** @property rejected spans of it that the collector did not take */
  | { readonly ok: true; readonly rejected: number }
  /** @property again true if the same spans may be sent once more; `afterMs`: not before, null where nobody says */
  | { readonly ok: false; readonly again: boolean; readonly afterMs: number | null; readonly fault: string };

export interface ExporterOptions {
  /** Sends one batch; does not throw. */
  readonly send: (spans: readonly EndedSpan[], signal: AbortSignal) => Promise<SendResult>;
  readonly maxQueued: number;
  readonly maxBatch: number;
  /** Spans wait so long at most for others to go with them. */
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** The pause after so many failures in a row, in milliseconds, where the collector does not say. */
  readonly pauseMs: (failures: number) => number;
  /** Receives the first fault of a row, and null once a batch has gone again. */
  readonly onFault: (fault: string | null) => void;
  readonly monotonic: () => number;
}

export interface Exporter {
  /** Never waits; a span for which there is no room is dropped and counted. */
  add(span: EndedSpan): void;
  /** Spans since the start. */
  readonly counts: { readonly exported: number; readonly dropped: number; readonly failed: number };
  /** Sends what is there, within the limit. */
  close(limitMs: number): Promise<void>;
}

/** Attempts for one batch; after that its spans are lost. */
const MAX_ATTEMPTS = 5;
/** Whatever is asked for. */
const MAX_PAUSE_MS = 60_000;

export function createExporter(options: ExporterOptions): Exporter {
  return new QueuedExporter(options);
}

class QueuedExporter implements Exporter {
  readonly counts = { exported: 0, dropped: 0, failed: 0 };
  readonly #options: ExporterOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #closing = new AbortController();
  #queue: EndedSpan[] = [];
  #sending: Promise<void> | null = null;
  #attempts = 0;
  #notBefore = 0;
  #isFailing = false;

  constructor(options: ExporterOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.#flush(), options.intervalMs);
    this.#timer.unref();
  }

  add(span: EndedSpan): void {
    if (this.#queue.length >= this.#options.maxQueued) {
      this.counts.dropped += 1;
      return;
    }
    this.#queue.push(span);
    if (this.#queue.length >= this.#options.maxBatch && this.#sending === null) outsideSpans(() => void this.#flush());
  }

  async close(limitMs: number): Promise<void> {
    clearInterval(this.#timer);
    const timer = setTimeout(() => this.#closing.abort(), limitMs);
    this.#notBefore = 0;
    await this.#sending;
    while (this.#queue.length > 0 && !this.#closing.signal.aborted) {
      const before = this.#queue.length;
      await this.#flush();
      if (this.#queue.length >= before) break; // the collector is not there: nobody waits for it now
    }
    clearTimeout(timer);
    this.counts.dropped += this.#queue.length;
    this.#queue = [];
  }

  /** Sends batches until less than one is left, or one fails. */
  #flush(): Promise<void> {
    this.#sending ??= this.#sendAll().finally(() => (this.#sending = null));
    return this.#sending;
  }

  async #sendAll(): Promise<void> {
    do {
      if (this.#queue.length === 0 || this.#options.monotonic() < this.#notBefore) return;
      const batch = this.#queue.slice(0, this.#options.maxBatch);
      const result = await this.#send(batch);
      if (!this.#settle(batch.length, result)) return;
    } while (this.#queue.length >= this.#options.maxBatch);
  }

  #send(batch: readonly EndedSpan[]): Promise<SendResult> {
    const { send, timeoutMs } = this.#options;
    return send(batch, AbortSignal.any([this.#closing.signal, AbortSignal.timeout(timeoutMs)]));
  }

  /** True if the batch has left the queue. */
  #settle(size: number, result: SendResult): boolean {
    if (result.ok) {
      this.#queue.splice(0, size);
      this.#attempts = 0;
      this.counts.exported += size - result.rejected;
      this.counts.failed += result.rejected;
      this.#tell(result.rejected > 0 ? "rejected" : null);
      return true;
    }
    this.#tell(result.fault);
    this.#attempts += 1;
    const { pauseMs, monotonic } = this.#options;
    const pause = Math.min(MAX_PAUSE_MS, result.afterMs ?? pauseMs(this.#attempts));
    this.#notBefore = monotonic() + pause;
    if (result.again && this.#attempts < MAX_ATTEMPTS) return false;
    this.#queue.splice(0, size);
    this.#attempts = 0;
    this.counts.failed += size;
    return true;
  }

  #tell(fault: string | null): void {
    if ((fault !== null) === this.#isFailing) return;
    this.#isFailing = fault !== null;
    this.#options.onFault(fault);
  }
}
