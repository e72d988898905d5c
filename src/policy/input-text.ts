// Writes policy inputs as JSON. Pure.
import type { PolicyInput } from "../authz/types.ts";

/**
 * The part about the caller is as long as the rest together, and the same object for every
 * request with the same token: its text is kept as long as the object lives.
 */
export function createInputText(): (input: PolicyInput) => string {
  const callers = new WeakMap<object, string>();

  function caller(identity: PolicyInput["identity"]): string {
    let text = callers.get(identity);
    if (text === undefined) callers.set(identity, (text = JSON.stringify(identity)));
    return text;
  }

  return (input) => {
    // The self-test sends incomplete inputs. Undefined is no JSON.
    if (!isWhole(input)) return JSON.stringify(input ?? null);
    const { identity, mcp, request, auth } = input;
    const parts = `{"identity":${caller(identity)},"mcp":${JSON.stringify(mcp)},"request":${JSON.stringify(request)}`;
    return auth === undefined ? `${parts}}` : `${parts},"auth":${JSON.stringify(auth)}}`;
  };
}

function isWhole(input: unknown): input is PolicyInput {
  if (typeof input !== "object" || input === null) return false;
  const { identity, mcp, request } = input as Partial<PolicyInput>;
  return [identity, mcp, request].every((part) => typeof part === "object" && part !== null);
}
