import { expect, test } from "vitest";
import { createChangeNotices, type ChangeKind } from "./change-notices.ts";

function world() {
  const timers: (() => void)[] = [];
  const notices = createChangeNotices((run) => {
    timers.push(run);
    return { cancel: () => {} };
  });
  const told: string[] = [];
  const listen = (name: string, ...servers: readonly string[]) =>
    notices.listen({
      concerns: (server) => servers.includes(server),
      tell: (kinds: readonly ChangeKind[]) => told.push(`${name}: ${kinds.join(" ")}`),
    });
  const pass = () => timers.splice(0).forEach((run) => run());
  return { notices, told, listen, pass, timers };
}

test("changes of one moment are one notice, to those whom they concern", () => {
  const { notices, told, listen, pass } = world();
  listen("both", "a", "b");
  listen("a", "a");
  listen("none");
  notices.changed({ server: "a", kinds: ["resources"] });
  notices.changed({ server: "b", kinds: ["tools"] });
  notices.changed({ server: "a", kinds: ["tools", "resources"] });
  expect(told).toEqual([]);
  pass();
  expect(told).toEqual(["both: tools resources", "a: tools resources"]);
  pass();
  expect(told).toHaveLength(2);
});

test("a change of policy concerns all", () => {
  const { notices, told, listen, pass } = world();
  listen("a", "a");
  listen("none");
  notices.changed({ server: null, kinds: ["tools", "prompts", "resources"] });
  pass();
  expect(told).toEqual(["a: tools prompts resources", "none: tools prompts resources"]);
});

test("a client that has left is not told, and a server that changes without end sets one timer", () => {
  const { notices, told, listen, pass, timers } = world();
  const leave = listen("a", "a");
  for (let i = 0; i < 10_000; i += 1) notices.changed({ server: "a", kinds: ["tools"] });
  expect(timers).toHaveLength(1);
  leave();
  pass();
  expect([told, notices.size]).toEqual([[], 0]);
});

test("a change without a kind tells nobody", () => {
  const { notices, listen, timers } = world();
  listen("a", "a");
  notices.changed({ server: "a", kinds: [] });
  expect(timers).toHaveLength(0);
});
