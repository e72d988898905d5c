// Finds what a policy can read of its input: in opa's plan, the program that opa compiles to WebAssembly
// (openpolicyagent.org/docs/ir). Whatever this does not know is taken to read everything. Pure.
import { z } from "zod";
import { ENTRYPOINTS } from "./entrypoints.ts";
import {
  blockOf,
  blocksOf,
  Flow,
  NO_PLACES,
  numberOf,
  operandOf,
  Place,
  Unknown,
  type Block,
  type Left,
  type Locals,
  type Places,
  type Statement,
} from "./plan-flow.ts";
import type { PolicyReads, Reads } from "./reads.ts";

interface Func {
  readonly name: string;
  readonly params: readonly number[];
  readonly blocks: readonly Block[];
}

interface Program {
  readonly strings: readonly string[];
  readonly functions: ReadonlyMap<string, Func>;
}

const blockSchema = z.object({
  stmts: z.array(z.object({ type: z.string(), stmt: z.record(z.string(), z.unknown()) })).nullable(),
});
const functionSchema = z.object({
  name: z.string(),
  params: z.array(z.number()),
  blocks: z.array(blockSchema),
});
const planSchema = z.object({
  static: z.object({ strings: z.array(z.object({ value: z.string() })) }),
  plans: z.object({ plans: z.array(z.object({ name: z.string(), blocks: z.array(blockSchema) })) }),
  funcs: z.object({ funcs: z.array(functionSchema) }),
});

/** Stands for what a function returns. */
const RETURNED = -1;

/** Calls with other arguments that are followed; beyond, everything counts as read. */
const MAX_CALLS = 20_000;

/** @returns null for a plan of another form, or one that does what is not known here: then nothing can be left out */
export function planReads(plan: unknown): PolicyReads | null {
  const parsed = planSchema.safeParse(plan);
  if (!parsed.success) return null;
  const { static: constants, plans, funcs } = parsed.data;
  const program = {
    strings: constants.strings.map(({ value }) => value),
    functions: new Map(funcs.funcs.map((func) => [func.name, func])),
  };
  const found = ENTRYPOINTS.map((name) => {
    const entry = plans.plans.find((one) => one.name === name);
    return entry === undefined ? null : readsOfPlan(program, entry.blocks);
  });
  const [decision = null, visible = null] = found;
  if (decision === null || visible === null) return null;
  return { "mcp_authz/decision": decision, "mcp_authz/visible": visible };
}

function readsOfPlan(program: Program, blocks: readonly Block[]): Reads | null {
  const input = new Place();
  try {
    new Reader(program).run(blocks, [input, DATA]);
  } catch {
    return null; // a statement that is not known, or of another form
  }
  return input.reads();
}

/** Stands for `data`, whose reads are not reads of the input. */
const DATA = new Place();
/**
 * Roots that data never has (artifact.ts refuses them): a rule of ours or of the author's that there is none of is looked for
 * there, and what follows is never reached. So a policy without `step_up` does not read the time that `step_up` needs.
 */
const NEVER_IN_DATA = new Set(["mcp", "mcp_authz"]);

/** Built-ins whose answer depends on no more than the type of their argument. */
const OF_TYPE = new Set([
  ...["is_array", "is_boolean", "is_null", "is_number", "is_object", "is_set", "is_string", "type_name"],
]);

/** Statements that read at most the type of what they name. */
const READ_NOTHING = new Set([
  ...["AssignIntStmt", "NopStmt", "IsArrayStmt", "IsObjectStmt", "IsSetStmt", "IsUndefinedStmt"],
  ...["MakeArrayStmt", "MakeNullStmt", "MakeNumberIntStmt", "MakeNumberRefStmt", "MakeObjectStmt", "MakeSetStmt"],
]);

/** Members of statements whose values are read whole. */
const READ_WHOLE: Readonly<Record<string, readonly string[]>> = {
  ArrayAppendStmt: ["value"],
  LenStmt: ["source"],
  ObjectInsertOnceStmt: ["key", "value"],
  ObjectInsertStmt: ["key", "value"],
  ObjectMergeStmt: ["a", "b"],
  ResultSetAddStmt: ["value"],
  SetAddStmt: ["value"],
};

/** Walks a program, and marks the places of the input that it reads. */
class Reader {
  readonly #program: Program;
  readonly #answers = new Map<string, Places | null>();
  readonly #ids = new Map<Place, number>();

  constructor(program: Program) {
    this.#program = program;
  }

  /** @returns the places whose values may be returned; null where nothing ever is */
  run(blocks: readonly Block[], values: readonly Place[]): Places | null {
    return this.#body(blocks, new Map(values.map((place, local) => [local, new Set([place])])));
  }

  #body(blocks: readonly Block[], locals: Locals): Places | null {
    return this.#sequence(blocks, locals).locals.get(RETURNED) ?? null;
  }

  /** Blocks, one after the other. */
  #sequence(blocks: readonly Block[], before: Locals): Left {
    const exits = new Set<number>();
    let locals = before;
    for (const block of blocks) {
      const left = this.#block(block, locals);
      locals = left.locals;
      for (const exit of left.exits) if (exit > 0) exits.add(exit);
      if (!left.exits.has(0)) return { locals, exits };
    }
    return { locals, exits: exits.add(0) };
  }

  #block({ stmts }: Block, before: Locals): Left {
    const flow = new Flow(before);
    for (const { type, stmt } of stmts ?? []) {
      if (type === "BlockStmt") {
        if (!this.#inner(stmt, flow)) return flow.left();
      } else if (type === "BreakStmt") {
        flow.exits.add(numberOf(stmt["index"]));
        return flow.left();
      } else {
        flow.exits.add(0); // any other statement may fail, which leaves the block
        if (!this.#statement(type, stmt, flow)) return flow.left();
      }
    }
    flow.exits.add(0);
    return flow.left();
  }

  /** @returns false where what follows is never reached */
  #inner({ blocks }: Statement, flow: Flow): boolean {
    const left = this.#sequence(blocksOf(blocks), flow.locals);
    flow.join(left.locals);
    for (const exit of left.exits) if (exit > 0) flow.exits.add(exit - 1);
    return left.exits.has(0);
  }

  /** @returns false where what follows is never reached */
  #statement(type: string, stmt: Statement, flow: Flow): boolean {
    if (type === "DotStmt") return this.#dot(stmt, flow);
    if (type === "CallStmt") return this.#call(stmt, flow);
    if (type === "IsDefinedStmt") return flow.locals.has(numberOf(stmt["source"]));
    const other = this.#others[type];
    if (other !== undefined) other(stmt, flow);
    else if (Object.hasOwn(READ_WHOLE, type))
      for (const name of READ_WHOLE[type] ?? []) readAll(flow.places(stmt[name]));
    else if (!READ_NOTHING.has(type)) throw new Unknown(type);
    if (other === undefined && "target" in stmt) flow.assign(stmt["target"], NO_PLACES);
    return true;
  }

  readonly #others: Readonly<Record<string, (stmt: Statement, flow: Flow) => void>> = {
    AssignVarStmt: (stmt, flow) => flow.assign(stmt["target"], flow.places(stmt["source"])),
    AssignVarOnceStmt: (stmt, flow) => flow.add(stmt["target"], flow.places(stmt["source"])),
    ResetLocalStmt: (stmt, flow) => flow.reset(stmt["target"]),
    ReturnLocalStmt: (stmt, flow) => {
      if (flow.locals.has(numberOf(stmt["source"]))) flow.add(RETURNED, flow.places(stmt["source"]));
    },
    EqualStmt: compare,
    NotEqualStmt: compare,
    NotStmt: (stmt, flow) => this.#around(stmt, flow),
    WithStmt: (stmt, flow) => {
      replace(stmt, flow);
      this.#around(stmt, flow);
    },
    ScanStmt: (stmt, flow) => {
      readAll(flow.places(stmt["source"]));
      flow.assign(stmt["key"], NO_PLACES);
      flow.assign(stmt["value"], NO_PLACES);
      // The next turn begins with what the one before left.
      for (let before = -1; before !== flow.size();) {
        before = flow.size();
        this.#around(stmt, flow);
      }
    },
  };

  /** A block inside a statement: how many blocks a break in it leaves is counted generously. */
  #around({ block }: Statement, flow: Flow): void {
    const left = this.#block(blockOf(block), flow.locals);
    flow.join(left.locals);
    for (const exit of left.exits) for (let each = exit; each >= 0; each -= 1) flow.exits.add(each);
  }

  /**
   * A member by a name that stands in the policy is a place of its own; by a computed one, any may be read.
   * @param otherwise for `object.get`, which has a value where there is no such member
   */
  #dot(stmt: Statement, flow: Flow, otherwise: Places | null = null): boolean {
    const name = this.#text(stmt["key"]);
    const sources = flow.places(stmt["source"]);
    readAll(flow.places(stmt["key"]));
    if (name === null) readAll(sources);
    else if (otherwise === null && sources.size === 1 && sources.has(DATA) && NEVER_IN_DATA.has(name)) return false;
    const members =
      name === null ? [] : [...sources].filter((place) => place !== DATA).map((place) => place.member(name));
    flow.assign(stmt["target"], new Set([...members, ...(otherwise ?? NO_PLACES)]));
    return true;
  }

  #call(stmt: Statement, flow: Flow): boolean {
    const { func: name, args, result } = stmt;
    if (typeof name !== "string" || !Array.isArray(args)) throw new Unknown("CallStmt");
    const values = args.map((operand) => flow.places(operand));
    const func = this.#program.functions.get(name);
    if (func !== undefined) {
      const answer = this.#answer(func, values);
      if (answer !== null) flow.assign(result, answer);
      return answer !== null;
    }
    if (name === "object.get" && this.#text(args[1]) !== null)
      return this.#dot({ source: args[0], key: args[1], target: result }, flow, values[2] ?? NO_PLACES);
    if (!OF_TYPE.has(name)) for (const places of values) readAll(places);
    flow.assign(result, NO_PLACES);
    return true;
  }

  /** The places whose values a function may return, for these arguments. Rego has no recursion. */
  #answer(func: Func, values: readonly Places[]): Places | null {
    if (values.length !== func.params.length) throw new Unknown(func.name);
    const key = `${func.name} ${values.map((places) => this.#keyOf(places)).join(" ")}`;
    const known = this.#answers.get(key);
    if (known !== undefined) return known;
    if (this.#answers.size >= MAX_CALLS) throw new Unknown("too many calls");
    const answer = this.#body(func.blocks, new Map(func.params.map((local, i) => [local, values[i] ?? NO_PLACES])));
    this.#answers.set(key, answer);
    return answer;
  }

  #keyOf(places: Places): string {
    const ids = [...places].map((place) => {
      const id = this.#ids.get(place) ?? this.#ids.size;
      this.#ids.set(place, id);
      return id;
    });
    return ids.sort((a, b) => a - b).join(",");
  }

  /** The constant text of an operand, or null. */
  #text(operand: unknown): string | null {
    const { type, value } = operandOf(operand);
    return type === "string_index" && typeof value === "number" ? (this.#program.strings[value] ?? null) : null;
  }
}

/** With true or false, nothing but these two differs: and they are kept where the type alone is read. */
function compare({ a, b }: Statement, flow: Flow): void {
  if (operandOf(a).type === "bool" || operandOf(b).type === "bool") return;
  readAll(flow.places(a));
  readAll(flow.places(b));
}

/** `with`: the whole of a variable is another value, or one place in a copy of it. What was there counts as read all the same. */
function replace({ local, path, value }: Statement, flow: Flow): void {
  if (flow.places(local).has(DATA)) throw new Unknown("with data");
  if (path === null) flow.add(local, flow.places(value));
  else readAll(flow.places(value));
}

function readAll(places: Places): void {
  for (const place of places) place.read();
}
