import { expect, it } from "vitest";
import { prepareAll } from "./prepared.ts";

function maker(events: string[], name: string, error: Error | null = null) {
  return async () => {
    await Promise.resolve();
    events.push(`ready ${name}`);
    if (error !== null) throw error;
    return { putInForce: () => void events.push(`in force ${name}`), drop: () => void events.push(`dropped ${name}`) };
  };
}

it("puts all in force when each is ready, in one step", async () => {
  const events: string[] = [];
  const done = prepareAll([maker(events, "a"), () => Promise.resolve(null), maker(events, "b")]);
  queueMicrotask(() => events.push("turn"));
  void (await done).putInForce();
  expect(events.slice(-2)).toEqual(["in force a", "in force b"]);
  expect(events.slice(0, -2).toSorted()).toEqual(["ready a", "ready b", "turn"]);
});

it("puts none in force where one fails", async () => {
  const events: string[] = [];
  const done = prepareAll([maker(events, "a"), maker(events, "b", new Error("servers.x.credential[0]"))]);
  await expect(done).rejects.toThrow("servers.x.credential[0]");
  expect(events).toEqual(["ready a", "ready b", "dropped a"]);
});

it("drops all where they are not wanted after all", async () => {
  const events: string[] = [];
  (await prepareAll([maker(events, "a"), maker(events, "b")])).drop();
  expect(events).toEqual(["ready a", "ready b", "dropped a", "dropped b"]);
});
