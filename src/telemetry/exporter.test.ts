import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createExporter, type ExporterOptions, type SendResult } from "./exporter.ts";
import type { EndedSpan } from "./span.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const SPAN = { name: "x" } as EndedSpan;
const OK: SendResult = { ok: true, rejected: 0 };
const away = (afterMs: number | null = null): SendResult => ({ ok: false, again: true, afterMs, fault: "unreachable" });

function exporter(results: readonly SendResult[], over: Partial<ExporterOptions> = {}) {
  const sent: number[] = [];
  const faults: (string | null)[] = [];
  const send = (spans: readonly EndedSpan[]) => {
    sent.push(spans.length);
    return Promise.resolve(results[Math.min(sent.length, results.length) - 1] ?? OK);
  };
  const options = {
    ...{ send, maxQueued: 10, maxBatch: 4, intervalMs: 100, timeoutMs: 1000 },
    pauseMs: (failures: number) => 100 * 2 ** (failures - 1),
    monotonic: () => Date.now(),
  };
  const made = createExporter({ ...options, onFault: (fault) => faults.push(fault), ...over });
  const add = (count: number) => Array.from({ length: count }, () => made.add(SPAN));
  return { ...made, add, sent, faults, counts: made.counts, close: made.close.bind(made) };
}

it("sends a whole batch at once, and what is less after a while", async () => {
  const { add, sent, counts } = exporter([OK]);
  add(5);
  await vi.advanceTimersByTimeAsync(0);
  expect(sent).toEqual([4]);
  await vi.advanceTimersByTimeAsync(100);
  expect([sent, counts]).toEqual([[4, 1], { exported: 5, dropped: 0, failed: 0 }]);
  await vi.advanceTimersByTimeAsync(1000);
  expect(sent).toHaveLength(2);
});

it("keeps no more than it may while the collector is silent, and one request at a time", async () => {
  const sent: number[] = [];
  const { add, counts } = exporter([], {
    send: (spans) => (sent.push(spans.length), new Promise<never>(() => {})),
  });
  add(1000);
  await vi.advanceTimersByTimeAsync(5000);
  expect([sent, counts]).toEqual([[4], { exported: 0, dropped: 990, failed: 0 }]);
});

it("sends a batch again with longer pauses, five times, and tells of a row of faults once", async () => {
  const { add, sent, faults, counts } = exporter([away(), away(), away(), away(), away(), OK]);
  add(4);
  await vi.advanceTimersByTimeAsync(3000);
  expect([sent, faults, counts]).toEqual([[4, 4, 4, 4, 4], ["unreachable"], { exported: 0, dropped: 0, failed: 4 }]);
  add(1);
  await vi.advanceTimersByTimeAsync(3000);
  expect([sent.length, faults, counts.exported]).toEqual([6, ["unreachable", null], 1]);
});

it("does not ask before Retry-After, and not longer than a minute", async () => {
  const { add, sent } = exporter([away(10_000), away(10_000_000), OK]);
  add(1);
  await vi.advanceTimersByTimeAsync(9000);
  expect(sent).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(2000);
  expect(sent).toHaveLength(2);
  await vi.advanceTimersByTimeAsync(61_000);
  expect(sent).toHaveLength(3);
});

it("gives up what the collector will never take, and counts what it did not take of a batch", async () => {
  const refused: SendResult = { ok: false, again: false, afterMs: null, fault: "status_400" };
  const { add, counts, faults } = exporter([refused, { ok: true, rejected: 1 }]);
  add(4);
  await vi.advanceTimersByTimeAsync(0);
  expect(counts).toEqual({ exported: 0, dropped: 0, failed: 4 });
  add(3);
  await vi.advanceTimersByTimeAsync(1000);
  expect([counts, faults]).toEqual([{ exported: 2, dropped: 0, failed: 5 }, ["status_400"]]);
});

it("sends what is left at the end", async () => {
  const { add, close, sent, counts } = exporter([OK]);
  add(3);
  await close(1000);
  expect([sent, counts.exported]).toEqual([[3], 3]);
});

it("ends within its limit while the collector is silent, and does not wait for one that is away", async () => {
  const silent = exporter([], {
    send: (_, signal) =>
      new Promise((done) =>
        signal.addEventListener("abort", () => done({ ...away(), fault: "aborted" } as SendResult)),
      ),
  });
  silent.add(9);
  const closed = silent.close(500);
  await vi.advanceTimersByTimeAsync(499);
  expect(await Promise.race([closed.then(() => "closed"), Promise.resolve("open")])).toBe("open");
  await vi.advanceTimersByTimeAsync(1);
  await closed;
  expect(silent.counts.dropped).toBe(9);
  const gone = exporter([away()]);
  gone.add(3);
  await gone.close(60_000);
  expect([gone.sent.length, gone.counts.dropped]).toEqual([1, 3]);
});
