// Writes policy inputs as JSON: what the policy reads of them, and the key by which an answer can be remembered. Pure.
import type { PolicyInput } from "../authz/types.ts";
import { narrowBy } from "./narrow.ts";
import { readsOf, type Reads } from "./reads.ts";

export interface InputText {
  /** The JSON text. */
  text(): string;
  /** Inputs with the same key have the same answer. Null where none is worth remembering, or none is known to be the same. */
  readonly key: string | null;
}

/** Of a request: they differ from one to the next, so that no answer would be given twice. */
const PASSING = ["time", "local", "sourceIp"];
/** Characters: longer arguments are not asked about twice. */
const MAX_KEY = 1024;

interface Caller {
  readonly id: number;
  readonly text: string;
}

/**
 * The part about the caller is as long as the rest together, and the same object for every request with the same token: its
 * text is kept as long as the object lives.
 * @param reads what the policy reads of the input; null where that is not known
 */
export function createInputText(reads: Reads | null): (input: PolicyInput) => InputText {
  const callers = new WeakMap<object, Caller>();
  let lastId = 0;
  const ofRequest = reads === null ? "value" : readsOf(reads, "request");
  const narrowMcp = narrowBy(reads === null ? "value" : readsOf(reads, "mcp"));
  const narrowRequest = narrowBy(ofRequest);
  const passes = ofRequest !== null && PASSING.some((name) => (readsOf(ofRequest, name) ?? "type") !== "type");

  function callerOf(identity: PolicyInput["identity"]): Caller {
    let caller = callers.get(identity);
    if (caller === undefined) callers.set(identity, (caller = { id: ++lastId, text: JSON.stringify(identity) }));
    return caller;
  }

  return (input) => {
    // The self-test sends incomplete inputs. Undefined is no JSON.
    if (!isWhole(input)) return { text: () => JSON.stringify(input ?? null), key: null };
    const { identity, mcp, request, auth } = input;
    const caller = callerOf(identity);
    const rest = `,"mcp":${JSON.stringify(narrowMcp(mcp))},"request":${JSON.stringify(narrowRequest(request))}`;
    const isOfCaller = auth === undefined || auth.identity === identity.claims;
    return {
      text: () => `{"identity":${caller.text}${rest}${auth === undefined ? "" : `,"auth":${JSON.stringify(auth)}`}}`,
      key:
        passes || !isOfCaller || rest.length > MAX_KEY ? null : `${caller.id}${auth === undefined ? "" : "a"}${rest}`,
    };
  };
}

function isWhole(input: unknown): input is PolicyInput {
  if (typeof input !== "object" || input === null) return false;
  const { identity, mcp, request } = input as Partial<PolicyInput>;
  return [identity, mcp, request].every((part) => typeof part === "object" && part !== null);
}
