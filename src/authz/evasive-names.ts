// Refuses client names that a server reads as one that policy set or removed, while Envoy sees another name
// (docs/opa-envoy.md). Pure.
import type { HostAllow } from "./host-decision.ts";
import { pass, refuse, type Step } from "./step.ts";
import type { AuthzRequest } from "./types.ts";

/** Refuses a request in which a header or a query parameter would stand beside the one that policy decided about. */
export function checkEvasive({ headers, query }: AuthzRequest, decision: HostAllow): Step<true> {
  const names = [...decision.headers.keys(), ...decision.remove];
  if (isEvaded(names, headers.names(), variable))
    return {
      ...refuse("header_malformed", "a name that equals one of policy's but for '_'"),
      about: "a header's name",
    };
  const parameters = [...decision.query.set.map(([name]) => name), ...decision.query.remove];
  if (query !== null && isEvaded(parameters, query.split("&").map(nameOf), decoded))
    return { ...refuse("header_malformed", "query"), about: "the query writes a parameter's name in another form" };
  return pass(true);
}

/** True if a received name is none of these and has the same meaning as one. */
function isEvaded(names: readonly string[], received: Iterable<string>, meaning: (name: string) => string): boolean {
  if (names.length === 0) return false;
  const own = new Set(names);
  const meanings = new Set(names.map(meaning));
  return [...received].some((name) => !own.has(name) && meanings.has(meaning(name)));
}

/** The variable that CGI, WSGI and their like make of a header's name; a pseudo-header is none. */
function variable(name: string): string {
  return name.startsWith(":") ? name : name.toLowerCase().replaceAll(/[^a-z0-9]/g, "_");
}

function nameOf(pair: string): string {
  const [name = ""] = pair.split("=", 1);
  return name;
}

/** The data plane compares names as they are written; servers decode them, and to some their case is one. */
function decoded(name: string): string {
  try {
    return decodeURIComponent(name.replaceAll("+", " ")).toLowerCase();
  } catch {
    return name.toLowerCase();
  }
}
