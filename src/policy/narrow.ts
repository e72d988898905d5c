// Leaves out of a policy's input what the policy does not read, so that its answer stays the same (plan-reads.ts). Pure.
import type { Reads } from "./reads.ts";
import { isObject } from "../json/object.ts";

export type Narrow = (value: unknown) => unknown;

/** The empty value of the same JSON type; booleans and null are themselves. */
function typeAlone(value: unknown): unknown {
  if (typeof value === "string") return "";
  if (typeof value === "number") return 0;
  if (Array.isArray(value)) return [];
  return isObject(value) ? {} : value;
}

/** Makes the function that leaves out what is not read; null stands for a value that is not read at all. */
export function narrowBy(reads: Reads | null): Narrow {
  if (reads === null) return typeAlone;
  if (reads === "value") return (value) => value;
  if (reads === "type") return typeAlone;
  const members = Object.entries(reads).map(([name, part]) => [name, narrowBy(part)] as const);
  return (value) => {
    if (!isObject(value)) return value;
    const narrowed = Object.create(null) as Record<string, unknown>;
    for (const [name, narrow] of members) if (Object.hasOwn(value, name)) narrowed[name] = narrow(value[name]);
    return narrowed;
  };
}
