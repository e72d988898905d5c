// The ways through a block of an opa plan (openpolicyagent.org/docs/ir), and the values that its variables may hold on them. Pure.
import type { Reads } from "./reads.ts";

export interface Block {
  readonly stmts: readonly { readonly type: string; readonly stmt: Statement }[] | null;
}

/** The members of a statement; which of them there are depends on its type. */
export type Statement = Readonly<Record<string, unknown>>;

/** A statement that is not known here. */
export class Unknown extends Error {}

/** A place in the input, and what is read there. */
export class Place {
  readonly #members = new Map<string, Place>();
  #isRead = false;

  /** All of it is read. */
  read(): void {
    this.#isRead = true;
  }

  member(name: string): Place {
    let place = this.#members.get(name);
    if (place === undefined) this.#members.set(name, (place = new Place()));
    return place;
  }

  reads(): Reads {
    if (this.#isRead) return "value";
    if (this.#members.size === 0) return "type";
    return Object.fromEntries([...this.#members].map(([name, place]) => [name, place.reads()]));
  }
}

export type Places = ReadonlySet<Place>;
/** By local variable that may be defined: the places whose values it may hold. */
export type Locals = Map<number, Places>;
export const NO_PLACES: Places = new Set();

/** How a block may be left. */
export interface Left {
  /** Whatever its variables may hold, wherever in it that was. */
  readonly locals: Locals;
  /** How many blocks around it are left with it: 0 is what follows it. */
  readonly exits: ReadonlySet<number>;
}

/** The variables on the way through a block. */
export class Flow {
  /** As they are now. */
  readonly locals: Locals;
  readonly exits = new Set<number>();
  /** As they are or were. */
  readonly #all: Locals;

  constructor(before: Locals) {
    this.locals = new Map(before);
    this.#all = new Map(before);
  }

  places(operand: unknown): Places {
    const { type, value } = operandOf(operand);
    if (type === "bool" || type === "string_index") return NO_PLACES;
    if (type !== "local" || typeof value !== "number") throw new Unknown("operand");
    return this.locals.get(value) ?? NO_PLACES;
  }

  assign(local: unknown, places: Places): void {
    this.locals.set(numberOf(local), places);
    addTo(this.#all, numberOf(local), places);
  }

  add(local: unknown, places: Places): void {
    addTo(this.locals, numberOf(local), places);
    addTo(this.#all, numberOf(local), places);
  }

  reset(local: unknown): void {
    this.locals.delete(numberOf(local));
  }

  /** What another way may have left. */
  join(locals: Locals): void {
    for (const [local, places] of locals) this.add(local, places);
  }

  left(): Left {
    return { locals: this.#all, exits: this.exits };
  }

  /** How much is known: it only grows. */
  size(): number {
    return [...this.#all.values(), ...this.locals.values()].reduce((sum, places) => sum + places.size + 1, 0);
  }
}

function addTo(locals: Locals, local: number, places: Places): void {
  locals.set(local, new Set([...(locals.get(local) ?? NO_PLACES), ...places]));
}

/** An operand, or a local variable that stands in the place of one. */
export function operandOf(operand: unknown): { readonly type?: unknown; readonly value?: unknown } {
  if (typeof operand === "number") return { type: "local", value: operand };
  if (typeof operand !== "object" || operand === null || !("type" in operand)) throw new Unknown("operand");
  return operand;
}

export function numberOf(value: unknown): number {
  if (typeof value !== "number") throw new Unknown("number");
  return value;
}

export function blocksOf(value: unknown): readonly Block[] {
  if (!Array.isArray(value)) throw new Unknown("blocks");
  return value.map(blockOf);
}

export function blockOf(value: unknown): Block {
  if (typeof value !== "object" || value === null || !("stmts" in value)) throw new Unknown("block");
  return value as Block;
}
