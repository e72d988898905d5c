// What a client of an older revision says in its handshake that it can do for servers. Pure.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle#capability-negotiation
import { isObject } from "../../json/object.ts";
import type { JsonObject, JsonValue } from "../../json/types.ts";

/** Capabilities that the broker can carry, with the parts of each that servers look at. */
const CARRIED = {
  roots: ["listChanged"],
  sampling: ["tools", "context"],
  elicitation: ["form", "url"],
} as const;

export type ClientCapabilities = Readonly<Partial<Record<keyof typeof CARRIED, JsonObject>>>;

export const NO_CAPABILITIES: ClientCapabilities = {};

/** The requests of servers, and the capability that a client needs for each. */
const NEEDED: Readonly<Record<string, keyof typeof CARRIED>> = {
  "roots/list": "roots",
  "sampling/createMessage": "sampling",
  "elicitation/create": "elicitation",
};

/** The capabilities in the params of `initialize` that are carried; others, and what is none, are left out. */
export function carriedCapabilities(declared: JsonValue | undefined): ClientCapabilities {
  if (!isObject(declared)) return NO_CAPABILITIES;
  const carried = Object.entries(CARRIED).flatMap(([name, parts]) => {
    const own = declared[name];
    if (!isObject(own)) return [];
    const kept = parts.filter((part) => own[part] === true || isObject(own[part]));
    return [[name, Object.fromEntries(kept.map((part) => [part, own[part] === true ? true : {}]))] as const];
  });
  return Object.fromEntries(carried);
}

/**
 * The same for a request inside `input_required`, with what it wants in particular: to open a page, to let the model call tools.
 * https://modelcontextprotocol.io/specification/2026-07-28/basic/utilities/mrtr
 */
export function canGiveInput(capabilities: ClientCapabilities, method: string, wants: InputWants): boolean {
  if (!canAnswer(capabilities, method)) return false;
  if (method === "elicitation/create" && wants.isUrl) return capabilities.elicitation?.["url"] !== undefined;
  return method !== "sampling/createMessage" || !wants.hasTools || capabilities.sampling?.["tools"] !== undefined;
}

export interface InputWants {
  readonly isUrl: boolean;
  readonly hasTools: boolean;
}

/** True if a client with these capabilities can answer this request of a server. */
export function canAnswer(capabilities: ClientCapabilities, method: string): boolean {
  const needed = Object.hasOwn(NEEDED, method) ? NEEDED[method] : undefined;
  return needed !== undefined && capabilities[needed] !== undefined;
}
