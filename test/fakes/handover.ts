// A table of Checks in flight, for tests that start a service without a supervisor.
import type { InFlight } from "../../src/authz/in-flight.ts";
import { createInFlight, newInFlight } from "../../src/ops/in-flight.ts";

/** A table of Checks in flight that nobody reads. */
export function someInFlight(): InFlight {
  return createInFlight(newInFlight());
}
