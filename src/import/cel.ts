// Translates a CEL expression into Rego. What is not translated is named and has no value, so that it allows nothing. Pure.
import { parse, type ASTNode } from "@marcbachmann/cel-js";
import { allOf, anyOf, literal, type Rules, type Term } from "./rego.ts";
import type { Place, Report } from "./report.ts";
import { isHeaders, placeAdvice, type Vocabulary } from "./vocabulary.ts";

/** What a translation reads and writes. */
export interface Translation {
  readonly report: Report;
  readonly rules: Rules;
  readonly vocabulary: Vocabulary;
  /** What `auth.identity` is. */
  readonly identity: Term;
}

/** An expression with its place in the source. */
export interface Expression extends Place {
  readonly text: string;
}

/** Variables of macros, the innermost last: their names in CEL and in Rego. */
type Scope = readonly { readonly name: string; readonly as: string }[];
const inScope = (scope: Scope, name: string) => scope.findLast((one) => one.name === name)?.as ?? null;
const parameters = (scope: Scope) => scope.map(({ as }) => as);

/** A part that cannot be translated: the message says why and what to do. */
class Untranslatable extends Error {}

/** The parsed expression; null where it is none, which is reported. */
export function parseCel(expression: Expression, report: Report): ASTNode | null {
  try {
    return parse(expression.text).ast;
  } catch (error) {
    const [why = ""] = error instanceof Error ? error.message.split("\n") : [];
    report.leftOut(expression, `is no CEL that is read here (${why.slice(0, 120)}): write it in plain CEL`);
    return null;
  }
}

/** @returns the term of its value: undefined wherever CEL would have an error */
export function celTerm(expression: Expression, translation: Translation): Term {
  const { report, rules } = translation;
  const ast = parseCel(expression, report);
  if (ast === null) return rules.unmapped(expression.line);
  try {
    return new Translator(translation).term(ast, []);
  } catch (error) {
    if (!(error instanceof Untranslatable)) throw error;
    report.leftOut(expression, error.message);
    return rules.unmapped(expression.line);
  }
}

const fail = (message: string): never => {
  throw new Untranslatable(message);
};

const BINARY = {
  "==": "same",
  "!=": "differs",
  "<": "less",
  "<=": "at_most",
  "+": "add",
  "-": "subtract",
  "*": "multiply",
} as const;
const METHODS: Readonly<Record<string, readonly [name: string, args: number]>> = {
  startsWith: ["starts_with", 1],
  endsWith: ["ends_with", 1],
  contains: ["contains_text", 1],
  matches: ["matches", 1],
  split: ["split_text", 1],
  trim: ["trim_text", 0],
  lowerAscii: ["lower_ascii", 0],
  upperAscii: ["upper_ascii", 0],
  size: ["size", 0],
};
const TYPES: ReadonlySet<string> = new Set(["string", "bool", "int", "uint", "double", "list", "map", "null_type"]);

type Arithmetic = Extract<ASTNode, { op: "+" | "-" | "*" }>;
const isArithmetic = (node: ASTNode): node is Arithmetic => ["+", "-", "*"].includes(node.op);

/** The path of constant names from a root, or null: `request.headers["a"]` is `[request, headers, a]`. */
export function pathOf(node: ASTNode): readonly string[] | null {
  if (node.op === "id") return [node.args];
  if (node.op === ".") {
    const base = pathOf(node.args[0]);
    return base === null ? null : [...base, node.args[1]];
  }
  if (node.op === "[]" && node.args[1].op === "value" && typeof node.args[1].args === "string") {
    const base = pathOf(node.args[0]);
    return base === null ? null : [...base, node.args[1].args];
  }
  return null;
}

class Translator {
  readonly #rules: Rules;
  readonly #vocabulary: Vocabulary;
  readonly #identity: Term;

  constructor({ rules, vocabulary, identity }: Translation) {
    this.#rules = rules;
    this.#vocabulary = vocabulary;
    this.#identity = identity;
  }

  /** @param scope variables of macros around it */
  term(node: ASTNode, scope: Scope): Term {
    if (node.op === "value") return constant(node.args);
    if (node.op === "id" || node.op === "." || node.op === "[]") return this.#place(node, scope);
    if (node.op === "list") return `[${this.#all(node.args, scope).join(", ")}]`;
    if (node.op === "call") return this.#call(node.args, scope);
    if (node.op === "rcall") return this.#method(node.args, scope);
    return this.#logic(node, scope) ?? this.#operation(node, scope);
  }

  #logic(node: ASTNode, scope: Scope): Term | null {
    if (node.op === "!_") return this.#not(this.term(node.args, scope), scope);
    if (node.op === "&&") return allOf(this.#rules, this.#all(node.args, scope), parameters(scope));
    if (node.op === "||") return anyOf(this.#rules, this.#all(node.args, scope), parameters(scope));
    return node.op === "?:" ? this.#choice(node.args, scope) : null;
  }

  #operation(node: ASTNode, scope: Scope): Term {
    if (node.op === "in") return this.#in(node.args, scope);
    if (node.op === "==" || node.op === "!=") return this.#equal(node, scope);
    if (node.op === "-_") return `cel.subtract(0, ${this.term(node.args, scope)})`;
    if (node.op === ">" || node.op === ">=") {
      const [a, b] = this.#pair(node.args, scope);
      return `cel.${node.op === ">" ? "less" : "at_most"}(${b}, ${a})`;
    }
    if (node.op === "<" || node.op === "<=" || isArithmetic(node))
      return `cel.${BINARY[node.op]}(${this.#pair(node.args, scope).join(", ")})`;
    return fail(`${node.op} is not translated: write the rule in Rego`);
  }

  #all(nodes: readonly ASTNode[], scope: Scope): Term[] {
    return nodes.map((node) => this.term(node, scope));
  }

  #pair([a, b]: readonly [ASTNode, ASTNode], scope: Scope): [Term, Term] {
    return [this.term(a, scope), this.term(b, scope)];
  }

  #not(term: Term, scope: Scope): Term {
    return this.#rules.add(
      [
        { value: "true", when: [`${term} == false`] },
        { value: "false", when: [`${term} == true`] },
      ],
      parameters(scope),
    );
  }

  #choice([condition, yes, no]: readonly ASTNode[], scope: Scope): Term {
    if (condition === undefined || yes === undefined || no === undefined) return fail("?: without its parts");
    const asked = this.term(condition, scope);
    return this.#rules.add(
      [
        { value: this.term(yes, scope), when: [`${asked} == true`] },
        { value: this.term(no, scope), when: [`${asked} == false`] },
      ],
      parameters(scope),
    );
  }

  /** Something of the request or the caller, or of a value that is bound or computed. */
  #place(node: ASTNode, scope: Scope): Term {
    const path = pathOf(node);
    const [root = ""] = path ?? [];
    if (path !== null && inScope(scope, root) === null) return this.#known(path) ?? this.#member(node, scope, path);
    return this.#member(node, scope, path ?? []);
  }

  #known(path: readonly string[]): Term | null {
    if (path.join(".") === "auth.identity") return this.#identity;
    if (!isHeaders(path.slice(0, -1))) return null;
    const name = path.at(-1) ?? "";
    const fault = this.#vocabulary.header(name);
    return fault === null ? `cel.get(headers, ${literal(name)})` : fail(fault);
  }

  #member(node: ASTNode, scope: Scope, path: readonly string[]): Term {
    if (node.op === "id") return inScope(scope, node.args) ?? fail(placeAdvice(path));
    if (node.op === ".") {
      const [root] = path;
      const isForeign =
        root !== undefined && inScope(scope, root) === null && !path.join(".").startsWith("auth.identity");
      if (isForeign) return fail(placeAdvice(path));
      return `cel.get(${this.term(node.args[0], scope)}, ${literal(node.args[1])})`;
    }
    if (node.op === "[]") {
      const base = pathOf(node.args[0]);
      if (base !== null && isHeaders(base)) return fail("a header whose name is computed is not read: name it");
      return `cel.get(${this.#pair(node.args, scope).join(", ")})`;
    }
    return fail(`${node.op} is not translated: write the rule in Rego`);
  }

  #in([item, of]: readonly [ASTNode, ASTNode], scope: Scope): Term {
    const path = pathOf(of);
    if (path !== null && isHeaders(path)) {
      return item.op === "value" && typeof item.args === "string"
        ? this.#hasHeader(item.args)
        : fail("a header whose name is computed is not read: name it");
    }
    return `cel.member(${this.term(item, scope)}, ${this.term(of, scope)})`;
  }

  #hasHeader(name: string): Term {
    const fault = this.#vocabulary.header(name);
    return fault === null ? `cel.has(headers, ${literal(name)})` : fail(fault);
  }

  /** `request.method == "POST"` holds for all that policy is asked, and `type(x) == string` compares names of types. */
  #equal(node: ASTNode & { op: "==" | "!=" }, scope: Scope): Term {
    const [a, b] = node.args;
    const path = pathOf(a)?.join(".");
    if ((path === "request.method" || path === "context.request.http.method") && b.op === "value" && b.args === "POST")
      return node.op === "==" ? "true" : "false";
    const isType = b.op === "id" && TYPES.has(b.args) && a.op === "call" && a.args[0] === "type";
    const right = isType ? literal(b.args) : this.term(b, scope);
    return `cel.${BINARY[node.op]}(${this.term(a, scope)}, ${right})`;
  }

  #call([name, args]: readonly [string, readonly ASTNode[]], scope: Scope): Term {
    const [first] = args;
    if (first === undefined || args.length !== 1) return fail(`${name}() is not translated: write the rule in Rego`);
    if (name === "has") return this.#has(first, scope);
    if (name === "type") return `cel.type_of(${this.term(first, scope)})`;
    if (name === "size") return `cel.size(${this.term(first, scope)})`;
    return name === "dyn" ? this.term(first, scope) : fail(`${name}() is not translated: write the rule in Rego`);
  }

  #has(node: ASTNode, scope: Scope): Term {
    if (node.op !== ".") return fail("has() asks for a member, as has(a.b)");
    const [of, name] = node.args;
    const path = pathOf(of);
    if (path !== null && isHeaders(path)) return this.#hasHeader(name);
    return `cel.has(${this.term(of, scope)}, ${literal(name)})`;
  }

  #method([name, of, args]: readonly [string, ASTNode, readonly ASTNode[]], scope: Scope): Term {
    if (name === "exists" || name === "all") return this.#macro(name, [of, ...args], scope);
    const known = Object.hasOwn(METHODS, name) ? METHODS[name] : undefined;
    if (known?.[1] !== args.length) return fail(`.${name}() is not translated: write the rule in Rego`);
    return `cel.${known[0]}(${[of, ...args].map((node) => this.term(node, scope)).join(", ")})`;
  }

  /** `list.exists(x, …)` and `list.all(x, …)`: as || and && over the items, errors included. */
  #macro(name: "exists" | "all", nodes: readonly ASTNode[], scope: Scope): Term {
    const [of, variable, body] = nodes;
    if (of === undefined || body === undefined || variable?.op !== "id" || nodes.length !== 3)
      return fail(`.${name}() takes a variable and a condition`);
    const path = pathOf(of);
    if (path !== null && isHeaders(path)) return this.#anyHeader(name, variable.args, body);
    const one = `v${scope.length}`;
    const list = this.term(of, scope);
    const holds = this.term(body, [...scope, { name: variable.args, as: one }]);
    const [some, every] = name === "exists" ? ["true", "false"] : ["false", "true"];
    return this.#rules.add(
      [
        { value: some, when: [`some ${one} in cel.items(${list})`, `${holds} == ${some}`] },
        {
          value: every,
          when: [
            `found := cel.items(${list})`,
            `count([1 | some ${one} in found; ${holds} == ${every}]) == count(found)`,
          ],
        },
      ],
      parameters(scope),
    );
  }

  /** `request.headers.exists(h, h == "x")`: the one question about all headers that is answered. */
  #anyHeader(name: string, variable: string, body: ASTNode): Term {
    const isName = (node: ASTNode) =>
      (node.op === "id" && node.args === variable) ||
      (node.op === "rcall" &&
        node.args[0] === "lowerAscii" &&
        node.args[1].op === "id" &&
        node.args[1].args === variable);
    if (name === "exists" && body.op === "==") {
      const [a, b] = isName(body.args[0]) ? body.args : [body.args[1], body.args[0]];
      if (isName(a) && b.op === "value" && typeof b.args === "string") return this.#hasHeader(b.args);
    }
    return fail('only request.headers.exists(h, h == "name") is asked of all headers: name the header');
  }
}

function constant(value: unknown): Term {
  if (typeof value === "string") return value.isWellFormed() ? literal(value) : fail("a text that is not Unicode");
  if (typeof value === "boolean" || value === null) return String(value);
  if (typeof value === "bigint" && value <= BigInt(Number.MAX_SAFE_INTEGER)) return value.toString();
  if (typeof value === "number" && Number.isFinite(value)) return JSON.stringify(value);
  return fail("a constant of a kind that JSON does not have: use text or a number");
}
