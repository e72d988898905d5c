// A thread for the supervisor's tests: it does what its data says.
import { createServer } from "node:net";
import { parentPort, workerData } from "node:worker_threads";
import { newCheckFacts } from "../../src/authz/facts.ts";
import { createGuard } from "../../src/ops/supervisor/heartbeat.ts";
import { createInFlight } from "../../src/ops/supervisor/in-flight.ts";
import type { FromThread, Handover, ToThread } from "../../src/ops/supervisor/messages.ts";
import { ALICE } from "./authz.ts";

const { plan } = workerData as { readonly plan: string };
const tell = (message: FromThread) => parentPort?.postMessage(message);
let timer: NodeJS.Timeout | undefined;
let rereads = 0;
const end = (code: number) => {
  clearInterval(timer);
  tell({ type: "ended", code });
  parentPort?.close();
};

function forever(): void {
  for (;;);
}

/** A Check of this caller, or at a path of the host of this source, whose evaluation never ends. */
function runAway({ heartbeat, inFlight }: Handover, subject: string | null, block = forever): void {
  const table = createInFlight(inFlight);
  const guard = createGuard(heartbeat, table);
  const bystander = newCheckFacts("bystander", Date.now());
  table.begin(bystander);
  table.note(bystander);
  if (subject !== null) {
    const facts = newCheckFacts("runaway", Date.now());
    table.begin(facts);
    if (subject.startsWith("192.0.2.")) Object.assign(facts, { endpoint: { kind: "host" }, sourceIp: subject });
    else Object.assign(facts, { identity: { ...ALICE, subject }, name: "read" });
    guard.attribute(facts);
  }
  guard.enter();
  block();
  guard.leave();
}

/** What the n-th thread of each plan does, `restarts` times after the first; without an entry it just serves. */
const PLANS: Readonly<Record<string, (handover: Handover) => void>> = {
  "run away": (handover) => handover.quarantined === null && soon(() => runAway(handover, null)),
  "run away once": (handover) => handover.restarts === 0 && soon(() => runAway(handover, "mallory")),
  "one caller": (handover) => handover.restarts < 5 && soon(() => runAway(handover, "mallory")),
  "three callers": (handover) =>
    handover.quarantined === null && soon(() => runAway(handover, `caller ${handover.restarts}`)),
  "three sources": (handover) =>
    handover.hostQuarantined === null && soon(() => runAway(handover, `192.0.2.${handover.restarts}`)),
  "sources, then callers": ({ restarts, ...handover }) =>
    restarts < 5 &&
    soon(() => runAway({ ...handover, restarts }, restarts < 3 ? `192.0.2.${restarts}` : `${restarts}`)),
  "out of memory": (handover) =>
    handover.restarts === 0 && soon(() => runAway(handover, "mallory", () => process.exit(9))),
  slow: (handover) => soon(() => slowly(handover)),
  "who is suspended": (handover) => {
    const subjects = handover.suspended.map(({ subject }) => subject);
    if (handover.restarts === 0) soon(() => runAway(handover, "mallory"));
    else end(subjects.join() === "mallory" ? 42 : 43);
  },
  keeps({ restarts, documents }) {
    if (restarts === 0) keepAndExit();
    else end(Buffer.from(documents["d"]?.bytes ?? []).toString() === "b" ? 42 : 43);
  },
  "crash once": ({ restarts }) => restarts === 0 && soon(() => process.exit(9)),
  "crash always": () => soon(() => process.exit(9)),
  "fails at its second start": ({ worker }) => worker?.index === 1 && soon(() => process.exit(9)),
  "crashes at its second start": ({ worker }) => worker?.index === 1 && soon(() => process.exit(9)),
  // The spare thread is made half a second after the first one is ready.
  "takes a configuration": ({ restarts }) => {
    if (restarts > 0) return end(rereads === 1 ? 42 : 43);
    setTimeout(() => tell({ type: "taken" }), 1500);
    setTimeout(() => process.exit(9), 1600);
  },
  remember: ({ remembered, restarts }) => remember(remembered, restarts),
};

function soon(what: () => void): void {
  setTimeout(what, 10);
}

function start(handover: Handover): void {
  if (handover.restarts === 0) tell({ type: "policy", revision: "r1", policy: null });
  if (plan === "fail at start") {
    end(3);
    return;
  }
  if (plan === "fail with a listener open") {
    createServer().listen(0, "127.0.0.1", () => end(3));
    return;
  }
  const isSuccessor = handover.worker?.index === 1 && handover.restarts > 0;
  if (plan === "fails at its second start" && isSuccessor) {
    end(3);
    return;
  }
  if (plan === "crashes at its second start" && isSuccessor) process.exit(9);
  tell({ type: "ready" });
  PLANS[plan]?.(handover);
}

function cpuSince(begun: NodeJS.CpuUsage): number {
  const { user, system } = process.threadCpuUsage(begun);
  return user + system;
}

/** Evaluations of one caller that are slow and end, until it is suspended. */
function slowly(handover: Handover): void {
  timer = setInterval(() => {
    runAway(handover, "mallory", () => {
      for (const begun = process.threadCpuUsage(); cpuSince(begun) < 120_000;);
    });
  }, 5);
}

function keepAndExit(): void {
  for (const text of ["a", "b"]) tell({ type: "document", name: "d", bytes: Buffer.from(text), tag: "" });
  tell({ type: "document", name: "d", bytes: null, tag: "" });
  setTimeout(() => process.exit(9), 20);
}

function remember(remembered: SharedArrayBuffer | null, restarts: number): void {
  const found = remembered === null ? null : [...new Uint8Array(remembered)];
  if (JSON.stringify(found) !== ["null", "[1,2]", "[3]"][restarts]) end(43);
  else if (restarts === 2) end(42);
  else {
    const memory = new SharedArrayBuffer(2 - restarts);
    tell({ type: "remember", memory });
    new Uint8Array(memory).set(restarts === 0 ? [1, 2] : [3]); // written after it was handed over
  }
  setTimeout(() => process.exit(9), 20);
}

parentPort?.on("message", (message: ToThread) => {
  if (message.type === "start") start(message.handover);
  if (message.type === "reread") rereads += 1;
  if (message.type === "suspend") end(message.suspension.subject === "mallory" ? 42 : 43);
  if (message.type === "terminate") end(0);
});
