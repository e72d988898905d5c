import { setTimeout as delay } from "node:timers/promises";
import { expect, it } from "vitest";
import { untilAborted } from "./abortable.ts";

it("gives the promise's result, or its failure, while the signal is quiet", async () => {
  const { signal } = new AbortController();
  expect(await untilAborted(Promise.resolve(1), signal)).toBe(1);
  await expect(untilAborted(Promise.reject(new Error("own")), signal)).rejects.toThrow("own");
});

it("an aborted signal ends the wait with its reason, before or meanwhile; a late rejection harms nothing", async () => {
  const gone = AbortSignal.abort(new Error("gone"));
  await expect(untilAborted(Promise.resolve(1), gone)).rejects.toThrow("gone");
  await expect(untilAborted(Promise.reject(new Error("own")), gone)).rejects.toThrow("gone");
  const controller = new AbortController();
  const late = delay(20).then(() => Promise.reject(new Error("late")));
  const waiting = untilAborted(late, controller.signal);
  controller.abort(new Error("left"));
  await expect(waiting).rejects.toThrow("left");
  await late.catch(() => {});
});

it("leaves no listener behind", async () => {
  const { signal } = new AbortController();
  let listeners = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = ((...args: Parameters<typeof add>) => ((listeners += 1), add(...args))) as typeof add;
  signal.removeEventListener = ((...args: Parameters<typeof remove>) => (
    (listeners -= 1),
    remove(...args)
  )) as typeof remove;
  await Promise.all(Array.from({ length: 5 }, () => untilAborted(Promise.resolve(1), signal)));
  expect(listeners).toBe(0);
});
