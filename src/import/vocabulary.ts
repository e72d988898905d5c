// What a rule of an AuthPolicy can read, and where it stands here: the caller's claims and request headers. Pure.
import { literal, type Term } from "./rego.ts";

/** Names of Kuadrant's router for what we read of the body itself; no client can write them here. */
const ROUTED: Readonly<Record<string, readonly [value: Term, condition: string | null]>> = {
  "x-mcp-method": ["input.mcp.method", null],
  "mcp-method": ["input.mcp.method", null],
  "x-mcp-toolname": ["input.mcp.name", 'input.mcp.kind == "tool"'],
  "mcp-name": ["input.mcp.name", null],
  "x-mcp-promptname": ["input.mcp.name", 'input.mcp.kind == "prompt"'],
  "x-mcp-resourceuri": ["input.mcp.name", 'input.mcp.kind == "resource"'],
  "x-mcp-servername": ["server_names[input.mcp.server]", null],
};

/** The headers that an import reads, and what it cannot give. */
export class Vocabulary {
  readonly #headers = new Set<string>();
  #usesServerNames = false;

  /** Notes that a header is read. @returns why it cannot be given, or null */
  header(name: string): string | null {
    const fault = headerFault(name);
    if (fault !== null) return fault;
    if (name === "x-mcp-servername") this.#usesServerNames = true;
    this.#headers.add(name);
    return null;
  }

  /** The names that `policy.headers` must have. */
  get policyHeaders(): readonly string[] {
    return [...this.#headers].filter((name) => !Object.hasOwn(ROUTED, name)).toSorted();
  }

  get usesServerNames(): boolean {
    return this.#usesServerNames;
  }

  /** Rules for `headers`, as Authorino shows them: names in lower case. */
  headerRules(): string[] {
    const rules = [...this.#headers].toSorted().map((name) => {
      const [value, condition] = (Object.hasOwn(ROUTED, name) ? ROUTED[name] : undefined) ?? [
        `input.request.headers[${literal(name)}]`,
        null,
      ];
      return `headers[${literal(name)}] := ${value}${condition === null ? "" : ` if ${condition}`}`;
    });
    return rules.length === 0 ? ["headers := {}"] : rules;
  }
}

function headerFault(name: string): string | null {
  if (Object.hasOwn(ROUTED, name)) return null;
  if (name !== name.toLowerCase()) return `${name} is never there: header names are in lower case`;
  if (name === "authorization" || name === "cookie" || name.startsWith("proxy-"))
    return `${name} carries a credential, which no rule sees here: read auth.identity`;
  if (/^x-mcp-|^mcp-/.test(name))
    return `${name} is written by Kuadrant's router, and by any client here: write the rule on input.mcp`;
  if (!/^[a-z0-9!#$%&'*+.^`|~-]{1,64}$/.test(name)) return `${name} is no header that can reach a rule`;
  return null;
}

/** What to do about a place of the request that is another here. */
export function placeAdvice(path: readonly string[]): string {
  const name = path.join(".");
  if (/^(?:context\.request\.http|request)\.(?:path|url_path|query)/.test(name))
    return `${name} is another here (/mcp, /servers/NAME/mcp): write the rule on input.mcp.server`;
  if (/^(?:context\.request\.http|request)\.host/.test(name))
    return `${name} is the gateway's own here: write the rule on input.mcp.server`;
  if (/^(?:context\.request\.http|request)\.method/.test(name))
    return `${name} is POST for everything that policy is asked: write the rule on input.mcp.method`;
  if (/^(?:context\.request\.http|request)\.(?:body|raw_body)/.test(name))
    return `${name} is read by the gateway: write the rule on input.mcp.arguments`;
  if (name.startsWith("auth.metadata"))
    return `${name} is what a call to somebody else answered, which no rule sees here: put it into the token or into data.yaml`;
  if (name.startsWith("auth.authorization"))
    return `${name} is a value of another rule, which only its own allow counts here: write the condition on auth.identity`;
  if (name.startsWith("source") || name.startsWith("context.source"))
    return `${name} is input.request.sourceIp here: write the rule on it`;
  return `${name === "" ? "it" : name} is not known here: rules read auth.identity and request.headers`;
}

/** The headers of a path, as `request.headers` or `context.request.http.headers`. */
export function isHeaders(path: readonly string[]): boolean {
  const name = path.join(".");
  return name === "request.headers" || name === "context.request.http.headers";
}
