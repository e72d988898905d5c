// A policy that is ready to be asked: instances that are made anew after a fault, and what they answer as frozen values. No I/O.
import type { PolicyInput } from "../authz/types.ts";
import type { CheckFacts } from "../authz/facts.ts";
import { parseJson } from "../json/parse.ts";
import type { Artifact } from "./artifact.ts";
import { createAuthorTexts } from "./author-texts.ts";
import { createEngine, type Engine } from "./engine.ts";
import type { Entrypoint } from "./entrypoints.ts";
import type { HostInput } from "./envoy/input.ts";
import { createInputText } from "./input-text.ts";
import { createAnswerMemory } from "./memory.ts";
import { faultKind, findFault, type ArgumentKind } from "./pattern-fault.ts";

/** Called around every evaluation: by it the supervisor tells a runaway policy from a busy thread. */
export interface Guard {
  /** Names the Check that the next evaluation is for; else that evaluation counts against the policy. */
  attribute(check: CheckFacts): void;
  enter(): void;
  leave(): void;
}

/** For evaluations without a supervisor: on a thread or in a process of their own. */
export const UNWATCHED: Guard = { attribute: () => {}, enter: () => {}, leave: () => {} };

export interface Evaluator {
  readonly revision: string;
  /**
   * The answer of the entrypoint: a frozen value, or undefined. An input that says the same in all that the policy reads has
   * the answer that it had before, without an evaluation.
   * @param check whom a runaway evaluation counts against; without it, the policy itself
   * @throws anything at all: opa-wasm throws strings and plain objects
   */
  evaluate(entrypoint: Entrypoint, input: PolicyInput, check?: CheckFacts): unknown;
  /**
   * The answer of the rule of `policy.envoy`. It is not kept: paths and bodies hardly come twice.
   * @throws anything at all, as `evaluate`; and where the policy has no such rule
   */
  evaluateHost(input: HostInput, check?: CheckFacts): unknown;
  /** After an evaluation that a fault of this kind ended: the place in the data that is at fault. */
  argumentFault(kind: ArgumentKind, entrypoint: Entrypoint, input: PolicyInput): string;
  /** True for a text that stands in the rules or in the author's data, whole. */
  isAuthors(text: string): boolean;
  /** The same policy with another catalogue, as a new value. */
  withCatalog(catalog: unknown): Evaluator;
}

/**
 * Makes an artifact ready for evaluation. Nothing of the author runs here; the self-test is what tries it.
 * @throws {Error} that says why the artifact cannot be used
 */
export function createEvaluator(
  { wasm, reads, data, revision, entrypoint: hostRule = null }: Artifact,
  catalog: unknown,
  guard: Guard,
): Evaluator {
  const module = compileModule(wasm);
  const authored = parseJson(data) as object;
  const texts = byEntrypoint((entrypoint) => createInputText(reads?.[entrypoint] ?? null));
  const faults = createFaultFinder(data.length, authored, guard);
  const isAuthors = createAuthorTexts(wasm, authored, data.length);
  const readResult = createResultReader();
  const build = (entries: unknown): Evaluator => {
    const all = encode(entries === null ? authored : { ...authored, catalog: entries });
    const engineOf = (encoded: ArrayBuffer) => createEngine(module, encoded, hostRule);
    const ask = createInstance(() => engineOf(all), guard);
    const memories = byEntrypoint(createAnswerMemory);
    return {
      revision,
      isAuthors,
      withCatalog: build,
      evaluate(entrypoint, input, check) {
        const { key, text } = texts[entrypoint](input);
        const memory = memories[entrypoint];
        const known = memory.get(key);
        if (known !== undefined) return known.value;
        const asked = text();
        if (check !== undefined) guard.attribute(check);
        const result = ask(entrypoint, asked);
        const value = readResult(result);
        memory.set(key, { value }, result.length);
        return value;
      },
      evaluateHost(input, check) {
        if (hostRule === null) throw new Error("the policy was not compiled with the rule of policy.envoy");
        const asked = JSON.stringify(input);
        if (check !== undefined) guard.attribute(check);
        return readResult(ask(hostRule, asked));
      },
      argumentFault(kind, entrypoint, input) {
        const text = texts[entrypoint](input).text();
        return faults(kind, (other) => {
          const engine = engineOf(encode(entries === null ? other : { ...other, catalog: entries }));
          engine.evaluate(entrypoint, text);
        });
      },
    };
  };
  return build(catalog);
}

/** One instance, made anew after a fault. It gives the text of a result set. */
function createInstance(make: () => Engine, guard: Guard): Engine["evaluate"] {
  let ready: Engine | null = make();
  return (entrypoint, input) => {
    guard.enter();
    try {
      const engine = ready ?? make();
      ready = null; // until it has answered: after an exception its heap may be broken (E16)
      const result = engine.evaluate(entrypoint, input);
      ready = engine;
      return result;
    } catch (error) {
      ready = make(); // now, so that the failing request pays for it and not the next one
      throw error;
    } finally {
      guard.leave();
    }
  };
}

function byEntrypoint<T>(make: (entrypoint: Entrypoint) => T): Readonly<Record<Entrypoint, T>> {
  return { "mcp_authz/decision": make("mcp_authz/decision"), "mcp_authz/visible": make("mcp_authz/visible") };
}

/** Beyond these, no place is looked for: it is the serving thread that looks. */
const MAX_SEARCHES = 16;
const MAX_SEARCHED = 512 * 1024;

/** Looks for the place of a fault, and after enough searches repeats what was found. */
function createFaultFinder(size: number, data: object, guard: Guard) {
  const found = new Set<string>();
  let searches = 0;
  return (kind: ArgumentKind, evaluate: (data: object) => void): string => {
    if (size > MAX_SEARCHED || searches >= MAX_SEARCHES)
      return [...found].join("; or ") || `a value is of another form: ${kind.wants}`;
    searches += 1;
    const fault = findFault(kind, data, (other) => {
      guard.enter();
      try {
        evaluate(other);
        return false;
      } catch (error) {
        return faultKind(error) === kind;
      } finally {
        guard.leave();
      }
    });
    found.add(fault);
    return fault;
  };
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

/** opa-wasm takes an ArrayBuffer for JSON text as it is: another instance then costs no second JSON.stringify. */
function encode(data: object): ArrayBuffer {
  return new Uint8Array(Buffer.from(JSON.stringify(data))).buffer;
}

const MAX_KNOWN = 256;
const MAX_KNOWN_LENGTH = 1024;

/**
 * Reads result sets. A policy says the same few things over and over, so a short text is parsed once; its value is
 * frozen, because many requests share it (D22).
 */
function createResultReader(): (text: string) => unknown {
  const known = new Map<string, unknown>();
  return (text) => {
    if (text.length > MAX_KNOWN_LENGTH) return frozen(singleResult(parseJson(text)));
    const before = known.get(text);
    if (before !== undefined) return before;
    const result = frozen(singleResult(parseJson(text)));
    if (known.size >= MAX_KNOWN) known.clear();
    known.set(text, result);
    return result;
  };
}

/** Undefined is an empty result set; several results cannot be. Both are nothing to decide by (E01, E02). */
function singleResult(results: unknown): unknown {
  if (!Array.isArray(results) || results.length !== 1) return undefined;
  return (results[0] as { result?: unknown }).result;
}

function frozen(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  for (const part of Object.values(value)) frozen(part);
  return Object.freeze(value);
}
