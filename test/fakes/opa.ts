// Machines with and without `opa`, for what compiles policies.
import type { FindOpa } from "../../src/policy/opa.ts";

export const noOpa: FindOpa = async () => ({ kind: "missing" });
