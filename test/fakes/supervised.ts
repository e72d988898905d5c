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
  const found = remembered === null ? null : [...new Uint8Array(remembered)];
  if (JSON.stringify(found) !== ["null", "[1,2]", "[3]"][restarts])
    parentPort?.postMessage({ type: "ended", code: 43 });
  else if (restarts === 2) parentPort?.postMessage({ type: "ended", code: 42 });
  else {
    const memory = new SharedArrayBuffer(2 - restarts);
    parentPort?.postMessage({ type: "remember", memory });
    new Uint8Array(memory).set(restarts === 0 ? [1, 2] : [3]); // written after it was handed over
  }
  setTimeout(() => process.exit(9), 20);
}
