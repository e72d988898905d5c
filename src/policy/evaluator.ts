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
 * Compiles an artifact for evaluation and tries it: both questions are there, and an empty input is refused.
 * @throws {Error} that says why the artifact cannot be used
 */
export function createEvaluator({ wasm, data, revision }: Artifact, catalog: unknown, guard: Guard): Evaluator {
  const module = new WebAssembly.Module(new Uint8Array(wasm));
  const authored = JSON.parse(data) as object;
  const build = (entries: unknown): Evaluator => {
    const all = entries === null ? authored : { ...authored, catalog: entries };
    let instance = instantiate(module, all);
    return {
      revision,
      withCatalog: build,
      evaluate(entrypoint, input) {
        guard.enter();
        try {
          return singleResult(instance.evaluate(input, entrypoint));
        } catch (error) {
          instance = instantiate(module, all); // its heap may be broken (E16)
          throw error;
        } finally {
          guard.leave();
        }
      },
    };
  };
  const evaluator = build(catalog);
  selfTest(evaluator);
  return evaluator;
}

function instantiate(module: WebAssembly.Module, data: object): LoadedPolicy {
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
  return policy;
}

/** Undefined is an empty result set; several results cannot be. Both are nothing to decide by (E01, E02). */
function singleResult(results: unknown): unknown {
  if (!Array.isArray(results) || results.length !== 1) return undefined;
  return (results[0] as { result?: unknown }).result;
}

/** A policy that allows somebody without a name to do nothing in particular is broken, or not a policy. */
function selfTest(evaluator: Evaluator): void {
  const nobody = { issuer: "", subject: "", username: null, groups: [], scopes: [], claims: {} };
  const nothing = { method: "", server: null, kind: null, name: null, arguments: {}, version: "" };
  const input = { identity: nobody, mcp: nothing, request: { host: "", path: "", sourceIp: "", time: 0, headers: {} } };
  let result: unknown;
  try {
    result = evaluator.evaluate("mcp_authz/decision", input);
  } catch (error) {
    throw new Error(`the self-test failed: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  const allow = typeof result === "object" && result !== null && "allow" in result ? result.allow : undefined;
  if (allow !== false) throw new Error("the self-test failed: the policy does not refuse an empty request");
}
