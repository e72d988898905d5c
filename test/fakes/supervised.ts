// A thread for the supervisor's tests: it does what its data says.
import { parentPort, workerData } from "node:worker_threads";
import { createGuard } from "../../src/ops/heartbeat.ts";
import type { ThreadData, ToThread } from "../../src/ops/supervisor.ts";

const { heartbeat, quarantined, restarts, remembered, data } = workerData as ThreadData<{ plan: string }>;
const guard = createGuard(heartbeat);

parentPort?.postMessage({ type: "revision", revision: "r1" });
if (data.plan === "fail at start") {
  parentPort?.postMessage({ type: "ended", code: 3 });
  process.exit(3);
}
parentPort?.postMessage({ type: "ready" });
parentPort?.on("message", (message: ToThread) => {
  if (message.type !== "terminate") return;
  parentPort?.postMessage({ type: "ended", code: 0 });
  parentPort?.close();
});
const runsAway = data.plan === "run away" && quarantined === null;
if (runsAway || (data.plan === "run away once" && restarts === 0)) {
  setTimeout(() => {
    guard.enter();
    for (;;);
  }, 10);
}
if (data.plan === "crash once" && restarts === 0) setTimeout(() => process.exit(9), 10);
if (data.plan === "crash always") setTimeout(() => process.exit(9), 1);
if (data.plan === "remember") {
  const text = JSON.stringify(remembered);
  const expected = ["null", '["a","b"]', '["c"]'][restarts];
  const message = [{ lines: ["a"] }, { lines: ["c"], replace: true }][restarts];
  if (text !== expected) parentPort?.postMessage({ type: "ended", code: 43 });
  else if (message === undefined) parentPort?.postMessage({ type: "ended", code: 42 });
  else {
    parentPort?.postMessage({ type: "remember", replace: false, ...message });
    if (restarts === 0) parentPort?.postMessage({ type: "remember", replace: false, lines: ["b"] });
  }
  setTimeout(() => process.exit(9), 20);
}
