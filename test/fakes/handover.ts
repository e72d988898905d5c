// What the supervisor gives the first thread of a process, for tests that start a service without one.
import { newHeartbeat } from "../../src/ops/supervisor/heartbeat.ts";
import type { InFlight } from "../../src/authz/in-flight.ts";
import { createInFlight, newInFlight } from "../../src/ops/supervisor/in-flight.ts";
import type { Handover } from "../../src/ops/supervisor/messages.ts";
import type { LoadedPolicy } from "../../src/policy/load.ts";

export function firstHandover(more: Partial<Handover<LoadedPolicy>> = {}): Handover<LoadedPolicy> {
  return {
    heartbeat: newHeartbeat(),
    inFlight: newInFlight(),
    quarantined: null,
    hostQuarantined: null,
    suspended: [],
    restarts: 0,
    runaways: 0,
    remembered: null,
    worker: null,
    policy: null,
    documents: {},
    ...more,
  };
}

/** A table of Checks in flight that nobody reads. */
export function someInFlight(): InFlight {
  return createInFlight(newInFlight());
}
