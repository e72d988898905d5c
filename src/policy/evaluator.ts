import { createRequire } from "node:module";
import type { LoadedPolicy } from "@open-policy-agent/opa-wasm";
import type { Artifact } from "./artifact.ts";
import { ENTRYPOINTS } from "./compile.ts";

// Its ES module entry imports a CommonJS default in a way that loses the names; require gives them.
const { loadPolicySync } = createRequire(import.meta.url)("@open-policy-agent/opa-wasm") as {
  loadPolicySync: (wasm: WebAssembly.Module, memory: { initial: number; maximum: number }) => LoadedPolicy;
};

export type Entrypoint = (typeof ENTRYPOINTS)[number];

/** Called around every evaluation: whoever watches this thread can tell a runaway policy from a busy one. */
export interface Guard {
  enter(): void;
  leave(): void;
}

export interface Evaluator {
  readonly revision: string;
  /** @throws anything at all: opa-wasm throws strings and plain objects */
  evaluate(entrypoint: Entrypoint, input: object): unknown;
  /** The same policy with another catalogue, as a new value. */
  withCatalog(catalog: unknown): Evaluator;
}

const PAGES = { initial: 16, maximum: 1024 }; // of 64 KiB

/**
 * Makes an artifact ready for evaluation. Nothing of the author runs here; the self-test is what tries it.
 * @throws {Error} that says why the artifact cannot be used
 */
export function createEvaluator({ wasm, data, revision }: Artifact, catalog: unknown, guard: Guard): Evaluator {
  const module = compileModule(wasm);
  const authored = JSON.parse(data) as object;
  const build = (entries: unknown): Evaluator => {
    const all = encode(entries === null ? authored : { ...authored, catalog: entries });
    let ready: LoadedPolicy | null = instantiate(module, all);
    return {
      revision,
      withCatalog: build,
      evaluate(entrypoint, input) {
        guard.enter();
        try {
          const instance = ready ?? instantiate(module, all);
          ready = null; // until it has answered: an instance that threw may have a broken heap (E16)
          const results: unknown = instance.evaluate(input, entrypoint);
          ready = instance;
          return singleResult(results);
        } finally {
          guard.leave();
        }
      },
    };
  };
  return build(catalog);
}

function compileModule(wasm: Uint8Array): WebAssembly.Module {
  let module: WebAssembly.Module;
  try {
    module = new WebAssembly.Module(new Uint8Array(wasm));
  } catch (error) {
    throw new Error("the policy is not WebAssembly", { cause: error });
  }
  const names = new Set(WebAssembly.Module.exports(module).map(({ name }) => name));
  const missing = ["opa_wasm_abi_version", "opa_wasm_abi_minor_version", "opa_eval", "builtins", "entrypoints"].find(
    (name) => !names.has(name),
  );
  if (missing !== undefined) throw new Error(`the policy was not made by opa build: it has no ${missing}`);
  return module;
}

function instantiate(module: WebAssembly.Module, data: ArrayBuffer): LoadedPolicy {
  let policy: LoadedPolicy;
  try {
    policy = loadPolicySync(module, PAGES);
    policy.setData(data);
  } catch (error) {
    throw new Error(`the policy cannot be loaded: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  const names = Object.keys(policy.entrypoints as object).sort();
  if (names.join() !== [...ENTRYPOINTS].sort().join()) {
    throw new Error(
      `the policy was not built for mcp-authz: it answers ${names.join(", ")}. Build it with mcp-authz build-policy`,
    );
  }
  const foreign = hostBuiltins(policy);
  if (foreign.length > 0) throw new Error(`the policy uses built-ins that are not available: ${foreign.join(", ")}`);
  return policy;
}

/** What the policy wants the host to compute. The native ones suffice: JavaScript's would differ and can hang (E10, E11). */
function hostBuiltins({ wasmInstance, mem }: LoadedPolicy): string[] {
  const exports = (wasmInstance as WebAssembly.Instance).exports as {
    builtins: () => number;
    opa_json_dump: (address: number) => number;
  };
  const start = exports.opa_json_dump(exports.builtins());
  const memory = Buffer.from(mem.buffer);
  const names = JSON.parse(memory.toString("utf8", start, memory.indexOf(0, start))) as object;
  return Object.keys(names).sort();
}

/** opa-wasm takes an ArrayBuffer for JSON text as it is: another instance then costs no second JSON.stringify. */
function encode(data: object): ArrayBuffer {
  return new Uint8Array(Buffer.from(JSON.stringify(data))).buffer;
}

/** Undefined is an empty result set; several results cannot be. Both are nothing to decide by (E01, E02). */
function singleResult(results: unknown): unknown {
  if (!Array.isArray(results) || results.length !== 1) return undefined;
  return (results[0] as { result?: unknown }).result;
}
