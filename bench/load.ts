// The generator: so many requests in flight (closed loop), or so many a second, whether earlier ones are answered or not (open
// loop): the time of each then counts from when it was due, so that waiting in a queue is waiting.
import { setTimeout as delay } from "node:timers/promises";
import type { Connection, Service, Verdict } from "./service.ts";
import { quantile } from "./statistics.ts";

export interface Load {
  readonly connections: number;
  /** All connections together; of an open loop, 0. */
  readonly inFlight: number;
  /** Requests a second; of a closed loop, 0. */
  readonly rate: number;
  /** Requests a second, on top, that are left alone as soon as they are written. */
  readonly resets: number;
  readonly warmMs: number;
  readonly ms: number;
  /** Milliseconds after the window in which answers may still come, before the connection is closed. */
  readonly lingerMs: number;
}

export interface Found {
  readonly answered: number;
  readonly perSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly denied: number;
  /** Milliseconds until a refusal came. */
  readonly deniedP50: number;
  readonly deniedMax: number;
  readonly faults: number;
  /** Without an answer at the end of the window. */
  readonly open: number;
  /** Connections that the service closed. */
  readonly closed: number;
  /** Left alone in time, and answered before. */
  readonly reset: number;
  readonly tooLate: number;
  /** By how many milliseconds the generator itself was late, at most. */
  readonly late: number;
}

/** Called when the warm-up is over, and at the end. */
export interface Marks {
  readonly start: () => void;
  readonly end: () => void;
}

export const closedLoop = (load: Partial<Load>): Load => ({
  ...{ connections: 1, inFlight: 64, rate: 0, resets: 0, warmMs: 150, ms: 500, lingerMs: 0 },
  ...load,
});
export const openLoop = (rate: number, load: Partial<Load>): Load => ({ ...closedLoop(load), inFlight: 0, rate });

export async function generate(service: Service, load: Load, marks: Marks): Promise<Found> {
  const run = new Run(load);
  const connection = await service.open(service.good, (due, verdict) => run.answered(due, verdict), load.connections);
  run.begin(connection);
  await delay(load.warmMs);
  marks.start();
  run.measure();
  await delay(load.ms);
  run.stop();
  marks.end();
  if (load.lingerMs > 0) await delay(load.lingerMs);
  connection.close();
  return run.found();
}

const TICK_MS = 1;
/** Requests that are made up for in one turn: after a longer pause of the generator the rate is missed, and `late` says so. */
const MAX_BURST_MS = 1000;

class Run {
  readonly #load: Load;
  #connection!: Connection;
  readonly #times: number[] = [];
  readonly #refusals: number[] = [];
  readonly #counts = { denied: 0, faults: 0, reset: 0, tooLate: 0 };
  #sent = 0;
  #done = 0;
  #late = 0;
  #isMeasured = false;
  #isOver = false;
  #startedAt = 0;
  #ms = 0;

  constructor(load: Load) {
    this.#load = load;
  }

  begin(connection: Connection): void {
    this.#connection = connection;
    const now = performance.now();
    for (let i = 0; i < this.#load.inFlight; i += 1) this.#send(now);
    connection.flush();
    if (this.#load.rate > 0) this.#at(this.#load.rate, (due) => this.#send(due));
    if (this.#load.resets > 0) this.#leaveAlone();
  }

  measure(): void {
    this.#isMeasured = true;
    this.#late = 0;
    this.#counts.denied = 0;
    this.#startedAt = performance.now();
  }

  stop(): void {
    this.#ms = performance.now() - this.#startedAt;
    this.#isOver = true;
    this.#isMeasured = false;
  }

  answered(due: number, verdict: Verdict): void {
    if (due < 0) return;
    this.#done += 1;
    if (this.#isOver) return;
    if (verdict === "deny") this.#counts.denied += 1;
    if (verdict === "fault") this.#counts.faults += 1;
    const now = performance.now();
    if (this.#isMeasured && verdict === "allow") this.#times.push(now - due);
    if (this.#isMeasured && verdict === "deny") this.#refusals.push(now - due);
    if (this.#load.rate === 0) this.#send(now);
  }

  found(): Found {
    return {
      answered: this.#times.length,
      perSecond: this.#times.length / (this.#ms / 1000),
      p50: quantile(this.#times, 0.5),
      p99: quantile(this.#times, 0.99),
      max: quantile(this.#times, 1),
      deniedP50: quantile(this.#refusals, 0.5),
      deniedMax: quantile(this.#refusals, 1),
      ...this.#counts,
      open: this.#sent - this.#done,
      closed: this.#connection.closed,
      late: this.#late,
    };
  }

  #send(due: number): void {
    this.#sent += 1;
    this.#connection.send(due);
  }

  /** Calls so often a second, with the time at which each was due. */
  #at(rate: number, send: (due: number) => void): void {
    let next = performance.now();
    const tick = () => {
      if (this.#isOver) return;
      const now = performance.now();
      this.#late = Math.max(this.#late, now - next - TICK_MS);
      next = Math.max(next, now - MAX_BURST_MS);
      for (; next <= now; next += 1000 / rate) send(next);
      this.#connection.flush();
      setTimeout(tick, TICK_MS);
    };
    tick();
  }

  /** Written in one turn, left alone in the next. */
  #leaveAlone(): void {
    let written: number[] = [];
    this.#at(this.#load.resets, () => written.push(this.#connection.send(-1)));
    const tick = () => {
      if (this.#isOver) return;
      for (const stream of written) this.#counts[this.#connection.reset(stream) ? "reset" : "tooLate"] += 1;
      written = [];
      setTimeout(tick, TICK_MS);
    };
    tick();
  }
}
