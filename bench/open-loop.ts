// Calls at a fixed rate, whether earlier ones are answered or not: the time of each counts from when it was due, so that
// waiting in a queue is waiting.
import { setTimeout as delay } from "node:timers/promises";
import type { Call } from "./harness.ts";

/** Milliseconds of each call, in ascending order. */
export type Latencies = readonly number[];

/** The generator itself is late by more than this: then its own turns are the limit, and the window says nothing. */
const MAX_LATE_MS = 50;

export interface OpenLoop {
  readonly latencies: Latencies;
  /** By how much the generator was late at most, in milliseconds. */
  readonly late: number;
}

export async function openLoop(call: Call, perSecond: number, ms: number): Promise<OpenLoop> {
  const latencies: number[] = [];
  const open: Promise<void>[] = [];
  const started = performance.now();
  const count = Math.floor((perSecond * ms) / 1000);
  let late = 0;
  for (let sent = 0; sent < count;) {
    const now = performance.now();
    const due = Math.min(count, Math.floor(((now - started) * perSecond) / 1000) + 1);
    for (; sent < due; sent += 1) {
      const at = started + (sent * 1000) / perSecond;
      late = Math.max(late, now - at);
      open.push(call().then(() => void latencies.push(performance.now() - at)));
    }
    await delay(1);
  }
  await Promise.all(open);
  return { latencies: latencies.sort((a, b) => a - b), late };
}

/** `p50 / p99 / longest` in milliseconds. */
export function latencyText({ latencies, late }: OpenLoop): string {
  const at = (share: number) => (latencies[Math.floor(share * (latencies.length - 1))] ?? 0).toFixed(1);
  const doubt = late > MAX_LATE_MS ? ` (the generator was late by ${Math.round(late)} ms)` : "";
  return `${at(0.5)} / ${at(0.99)} / ${at(1)}${doubt}`;
}
