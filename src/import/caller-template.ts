// A text that an AuthPolicy puts together of constants, claims and the server's name, as one of our templates. Pure.
import type { ASTNode } from "@marcbachmann/cel-js";
import { pathOf } from "./cel.ts";
import { segmentsOf } from "./selector.ts";

/** A server, by its name in the source. */
export interface ServerNames {
  readonly source: string;
}

/** A constant, a claim, the host of the request, or the server's name in the source with characters replaced. */
export type TemplatePart =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "claim"; readonly path: readonly string[] }
  | { readonly kind: "host" }
  | { readonly kind: "server"; readonly replace: readonly [from: string, to: string] | null };

const SERVER_HEADER = "x-mcp-servername";

/** The parts of a CEL expression that joins texts with `+`; null for any other. */
export function templateOf(node: ASTNode): readonly TemplatePart[] | null {
  if (node.op === "value") return typeof node.args === "string" ? [{ kind: "text", text: node.args }] : null;
  if (node.op === "+") {
    const [a, b] = node.args.map(templateOf);
    return a == null || b == null ? null : [...a, ...b];
  }
  const part = node.op === "rcall" ? replaced(node.args) : partAt(pathOf(node));
  return part === null ? null : [part];
}

/** The server's name with one text for another: `.replace("/", ".")`. */
function replaced([name, of, args]: readonly [string, ASTNode, readonly ASTNode[]]): TemplatePart | null {
  if (name !== "replace" || partAt(pathOf(of))?.kind !== "server") return null;
  const [from, to] = args.map((one) => (one.op === "value" && typeof one.args === "string" ? one.args : null));
  return from == null || to == null ? null : { kind: "server", replace: [from, to] };
}

function partAt(path: readonly string[] | null): TemplatePart | null {
  if (path === null) return null;
  const name = path.join(".");
  if (name === "request.host" || name === "context.request.http.host") return { kind: "host" };
  const [last = ""] = path.slice(-1);
  if (name.endsWith(`headers.${SERVER_HEADER}`) && last === SERVER_HEADER) return { kind: "server", replace: null };
  return path[0] === "auth" && path[1] === "identity" && path.length > 2
    ? { kind: "claim", path: path.slice(2) }
    : null;
}

/** The parts of a text with `{selector}` in it, as older policies have URLs; null for what stands for something else. */
export function bracedTemplate(text: string): readonly TemplatePart[] | null {
  const parts = text.split(/(\{[^{}]*\})/).filter((one) => one !== "");
  const read = parts.map((one): TemplatePart | null =>
    one.startsWith("{") ? partAt(segmentsOf(one.slice(1, -1))) : { kind: "text", text: one },
  );
  return read.some((one) => one === null) ? null : read.filter((one) => one !== null);
}

/** Writes parts as a template of the configuration. @param username the claim that `{username}` stands for */
export function templateText(parts: readonly TemplatePart[], username: string, { source }: ServerNames): string {
  return parts
    .map((part) => {
      if (part.kind === "text") return part.text;
      if (part.kind === "host") return "{host}";
      if (part.kind === "server") return part.replace === null ? source : source.replaceAll(...part.replace);
      return claimPlaceholder(part.path, username);
    })
    .join("");
}

function claimPlaceholder(path: readonly string[], username: string): string {
  const [name = ""] = path;
  if (path.length === 1 && name === username) return "{username}";
  if (path.length === 1 && name === "sub") return "{subject}";
  const pointer = path.map((one) => `/${one.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
  return `{claim:${path.length === 1 && /^[\w.-]+$/.test(name) ? name : pointer}}`;
}
