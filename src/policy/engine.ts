// One WebAssembly instance of a policy (openpolicyagent.org/docs/wasm). No I/O.
import { createRequire } from "node:module";
import type { LoadedPolicy } from "@open-policy-agent/opa-wasm";
import { parseJson } from "../json/parse.ts";
import { ENTRYPOINTS } from "./entrypoints.ts";

// Its ES module entry imports a CommonJS default in a way that loses the names; require gives them.
const { loadPolicySync } = createRequire(import.meta.url)("@open-policy-agent/opa-wasm") as {
  loadPolicySync: (wasm: WebAssembly.Module, memory: { initial: number; maximum: number }) => LoadedPolicy;
};

/** One instance of a policy, with its data. */
export interface Engine {
  /**
   * @param input JSON text of an object
   * @returns JSON text of the result set
   * @throws anything at all: opa-wasm throws strings and plain objects
   */
  evaluate(entrypoint: string, input: string): string;
}

/** Exports of the module that the engine uses (openpolicyagent.org/docs/wasm, ABI 1.2). */
interface Exports {
  readonly builtins: () => number;
  readonly opa_json_dump: (address: number) => number;
  /** Reserved (0), entrypoint, data, input, its length, heap, format (0: JSON). */
  readonly opa_eval: (...parts: number[]) => number;
}

/** opa-wasm's own fields, which its types do not name. */
interface Internals {
  readonly dataAddr: number;
  readonly dataHeapPtr: number;
  readonly minorVersion: number;
}

const PAGE = 64 * 1024;
export const PAGES = { initial: 16, maximum: 1024 };
/** What data leaves free of an instance's memory, for an input of the largest body and its evaluation: 16 MiB. */
export const FREE_PAGES = 256;
const MIB = 1024 * 1024;

/**
 * Makes an instance ready. opa-wasm loads it: memory, ABI, data, aborts. Its `evaluate` is one call of the ABI between a
 * JSON.stringify, a byte-wise search and a JSON.parse; here is the call alone, so that the caller keeps the texts that do
 * not change (decision record 003).
 * @param more the rule of `policy.envoy`, where it has one
 * @throws {Error} that says why the policy cannot be used
 */
export function createEngine(module: WebAssembly.Module, data: ArrayBuffer, more: string | null = null): Engine {
  const policy = load(module, data, more);
  const exports = exportsOf(policy);
  const ids = policy.entrypoints as Readonly<Record<string, number>>;
  const { mem } = policy;
  const { dataAddr, dataHeapPtr } = policy as unknown as Internals;
  let view = Buffer.from(mem.buffer);
  // An evaluation may grow the memory, and a view of what it was is empty then.
  const memory = () => (view.buffer === mem.buffer ? view : (view = Buffer.from(mem.buffer)));
  return {
    evaluate(entrypoint, input) {
      const length = Buffer.byteLength(input);
      const lacking = dataHeapPtr + length - memory().length;
      if (lacking > 0) mem.grow(Math.ceil(lacking / PAGE));
      memory().write(input, dataHeapPtr);
      const heap = dataHeapPtr + length;
      const id = ids[entrypoint];
      if (id === undefined) throw new Error("an entrypoint that the policy does not have");
      const result = exports.opa_eval(0, id, dataAddr, dataHeapPtr, length, heap, 0);
      return memory().toString("utf8", result, memory().indexOf(0, result));
    },
  };
}

function load(module: WebAssembly.Module, data: ArrayBuffer, more: string | null): LoadedPolicy {
  let policy: LoadedPolicy;
  try {
    policy = loadPolicySync(module, PAGES);
    policy.setData(data);
  } catch (error) {
    if (/opa_malloc/.test(error instanceof Error ? error.message : String(error))) throw tooMuch(data, error);
    throw new Error(`the policy cannot be loaded: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  const { minorVersion, dataHeapPtr } = policy as unknown as Internals;
  if (dataHeapPtr > (PAGES.maximum - FREE_PAGES) * PAGE) throw tooMuch(data);
  if (minorVersion < 2) throw new Error("the policy was built by an opa that is too old: its ABI is below 1.2");
  checkEntrypoints(Object.keys(policy.entrypoints as object).sort(), more);
  const foreign = hostBuiltins(policy);
  if (foreign.length > 0) throw new Error(`the policy uses built-ins that are not available: ${foreign.join(", ")}`);
  return policy;
}

/** Exactly ours, and the rule of `policy.envoy`. */
function checkEntrypoints(names: readonly string[], more: string | null): void {
  const rule = more?.replaceAll("/", ".") ?? null;
  if (more !== null && !names.includes(more))
    throw new Error(
      `the policy was built without ${rule}, which policy.envoy names: build it with mcp-authz build-policy --envoy ${rule}`,
    );
  const wanted = [...ENTRYPOINTS, ...(more === null ? [] : [more])];
  if (names.join() !== wanted.sort().join())
    throw new Error(
      `the policy was not built for mcp-authz: it answers ${names.join(", ")}. Build it with mcp-authz build-policy`,
    );
}

function tooMuch({ byteLength }: ArrayBuffer, cause?: unknown): Error {
  const [size, memory, free] = [byteLength / MIB, (PAGES.maximum * PAGE) / MIB, (FREE_PAGES * PAGE) / MIB];
  return new Error(
    `the policy's data is too large: its ${size.toFixed(1)} MiB of JSON leave less than ${free} of the ${memory} MiB of memory that a policy has (a byte of JSON takes about 15): keep what rules read, and bring the rest as claims of the token`,
    { cause },
  );
}

function exportsOf({ wasmInstance }: LoadedPolicy): Exports {
  return (wasmInstance as WebAssembly.Instance).exports as unknown as Exports;
}

/** Built-ins that the host would have to compute. The native ones suffice: JavaScript's would differ and can hang (E10, E11). */
function hostBuiltins(policy: LoadedPolicy): string[] {
  const { builtins, opa_json_dump: dump } = exportsOf(policy);
  const start = dump(builtins());
  const memory = Buffer.from(policy.mem.buffer);
  const names = parseJson(memory.toString("utf8", start, memory.indexOf(0, start))) as object;
  return Object.keys(names).sort();
}
