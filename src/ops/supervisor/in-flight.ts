// The Checks in flight, in a SharedArrayBuffer that outlives the serving thread: when the thread ends, the supervisor writes the
// audit lines that it could not write (every Check has one record). The thread writes, the supervisor reads. No I/O.
import type { AuditFacts, Verdict } from "../../authz/audit-record.ts";
import type { Caller, InFlight } from "../../authz/in-flight.ts";
import { REFUSALS, type Reason } from "../../authz/refusal.ts";
import { newCheckFacts, NO_SLOT, type CheckFacts, type Door } from "../../authz/facts.ts";
import { countedCaller, sourceCaller } from "../../authz/source.ts";
import type { Kind } from "../../mcp/operation.ts";
import type { Rules } from "./runaways.ts";

/** Checks in flight at most, those included whose audit line is not written yet. */
export const SLOTS = 4096;

/** Fields of a slot, and the room of each in UTF-16 code units. Audit lines cut text at 256. */
const ROOM = {
  requestId: 36,
  meshRequestId: 128,
  traceId: 32,
  sourceIp: 64,
  server: 64,
  /** One that does not fit names no caller: a cut one could be another's ({@link callerAt}). */
  issuer: 1024,
  /** 256 bytes at most (`isPlainText`). */
  subject: 256,
  actor: 256,
  method: 257,
  kind: 16,
  door: 16,
  /** Kind of the endpoint. */
  endpoint: 16,
  name: 257,
} as const;
type Field = keyof typeof ROOM;
const FIELDS = Object.keys(ROOM) as readonly Field[];
const FIELD = Object.fromEntries(FIELDS.map((field, i) => [field, i])) as Readonly<Record<Field, number>>;

/** One slot in bytes: state and verdict (Int32), arrival (Float64), a length for each field, then the texts (Uint16). */
const LENGTHS_AT = 16;
const TEXT_AT = LENGTHS_AT + FIELDS.length * 2;
const ROOMS = FIELDS.map((field) => ROOM[field]);
/** Where each field's text begins, in code units after `TEXT_AT`. */
const OFFSETS = ROOMS.map((_, i) => ROOMS.slice(0, i).reduce((sum, room) => sum + room, 0));
const SLOT_BYTES = Math.ceil((TEXT_AT + 2 * ROOMS.reduce((sum, room) => sum + room, 0)) / 8) * 8;

const FREE = 0;
const TAKEN = 1;
/** Verdicts as numbers: 0 for none yet, 1 for a public document, then the reasons in the order of their table. */
const UNDECIDED = 0;
const PUBLIC = 1;
const REASONS = Object.keys(REFUSALS) as readonly Reason[];
const CODES = new Map(REASONS.map((reason, i) => [reason, i + 2]));

/** Memory pages that were never written cost nothing: one slot is a page and a half. */
export function newInFlight(slots: number = SLOTS): SharedArrayBuffer {
  return new SharedArrayBuffer(slots * SLOT_BYTES);
}

interface Views {
  readonly ints: Int32Array;
  readonly floats: Float64Array;
  readonly units: Uint16Array;
  readonly slots: number;
}

function viewsOf(buffer: SharedArrayBuffer): Views {
  return {
    ints: new Int32Array(buffer),
    floats: new Float64Array(buffer),
    units: new Uint16Array(buffer),
    slots: Math.floor(buffer.byteLength / SLOT_BYTES),
  };
}

/** For the serving thread. No method allocates. */
export function createInFlight(buffer: SharedArrayBuffer): InFlight {
  return new SharedTable(viewsOf(buffer));
}

class SharedTable implements InFlight {
  readonly #views: Views;
  /** A stack: the slot that was freed last, whose pages exist, is used first. */
  readonly #free: Int32Array;
  #count: number;

  constructor(views: Views) {
    this.#views = views;
    this.#count = views.slots;
    this.#free = Int32Array.from({ length: views.slots }, (_, i) => views.slots - 1 - i);
  }

  begin(facts: CheckFacts): boolean {
    if (this.#count === 0) return false;
    this.#count -= 1;
    const slot = this.#free[this.#count] ?? 0;
    facts.slot = slot;
    const { ints, floats, units } = this.#views;
    units.fill(0, (slot * SLOT_BYTES + LENGTHS_AT) / 2, (slot * SLOT_BYTES + TEXT_AT) / 2);
    floats[(slot * SLOT_BYTES + 8) / 8] = facts.arrivedAt;
    this.#put(slot, FIELD.requestId, facts.requestId);
    ints[(slot * SLOT_BYTES) / 4 + 1] = UNDECIDED;
    Atomics.store(ints, (slot * SLOT_BYTES) / 4, TAKEN);
    return true;
  }

  note(facts: CheckFacts): void {
    const { slot, identity } = facts;
    if (slot === NO_SLOT) return;
    this.#put(slot, FIELD.meshRequestId, facts.meshRequestId);
    this.#put(slot, FIELD.traceId, facts.traceId);
    this.#put(slot, FIELD.door, facts.door);
    this.#put(slot, FIELD.endpoint, facts.endpoint?.kind ?? null);
    this.#put(slot, FIELD.sourceIp, facts.sourceIp);
    this.#put(slot, FIELD.server, facts.server);
    this.#put(slot, FIELD.method, facts.method);
    this.#put(slot, FIELD.kind, facts.kind);
    this.#put(slot, FIELD.name, facts.name);
    if (identity === null) return;
    this.#put(slot, FIELD.issuer, identity.issuer);
    this.#put(slot, FIELD.subject, identity.subject);
    this.#put(slot, FIELD.actor, identity.actors[0] ?? null);
  }

  answered({ slot }: CheckFacts, { decision, reason }: Verdict): void {
    if (slot === NO_SLOT || decision === "allow") return;
    const code = reason === null ? PUBLIC : (CODES.get(reason) ?? UNDECIDED);
    this.#views.ints[(slot * SLOT_BYTES) / 4 + 1] = code;
  }

  end(facts: CheckFacts): void {
    const { slot } = facts;
    if (slot === NO_SLOT) return;
    facts.slot = NO_SLOT; // late work for this Check must not write to the next one's slot
    Atomics.store(this.#views.ints, (slot * SLOT_BYTES) / 4, FREE);
    this.#free[this.#count] = slot;
    this.#count += 1;
  }

  /** Writes a field once: no fact changes after its Check waits or is evaluated for the first time. */
  #put(slot: number, field: number, text: string | null): void {
    const { units } = this.#views;
    const lengthAt = (slot * SLOT_BYTES + LENGTHS_AT) / 2 + field;
    if (text === null || units[lengthAt] !== 0) return;
    const length = Math.min(text.length, ROOMS[field] ?? 0);
    const at = (slot * SLOT_BYTES + TEXT_AT) / 2 + (OFFSETS[field] ?? 0);
    for (let i = 0; i < length; i += 1) units[at + i] = text.charCodeAt(i);
    units[lengthAt] = length;
  }
}

/** A Check whose audit line the ended thread did not confirm. */
export interface UnrecordedCheck {
  readonly slot: number;
  readonly facts: AuditFacts;
  /** Its response; null if none was sent. */
  readonly answered: Verdict | null;
}

/** For the supervisor, after the thread's end. */
export function readInFlight(buffer: SharedArrayBuffer): UnrecordedCheck[] {
  const views = viewsOf(buffer);
  const slots = Array.from({ length: views.slots }, (_, slot) => slot);
  return slots
    .filter((slot) => Atomics.load(views.ints, (slot * SLOT_BYTES) / 4) === TAKEN)
    .map((slot) => ({
      slot,
      facts: factsAt(views, slot),
      answered: verdictOf(views.ints[(slot * SLOT_BYTES) / 4 + 1] ?? UNDECIDED),
    }))
    .toSorted((a, b) => a.facts.arrivedAt - b.facts.arrivedAt);
}

/**
 * The caller of this slot's Check; null if none is noted or the issuer may be cut. At a path of the host, whoever presents
 * nothing is named by the source, and so is one of many at public servers.
 */
export function callerAt(buffer: SharedArrayBuffer, slot: number): Caller | null {
  const views = viewsOf(buffer);
  if (slot < 0 || slot >= views.slots) return null;
  const issuer = textAt(views, slot, "issuer");
  const subject = textAt(views, slot, "subject");
  if (issuer === null && ruleAt(buffer, slot) === "host") return sourceCaller(textAt(views, slot, "sourceIp"));
  if (issuer === null || subject === null || issuer.length === ROOM.issuer) return null;
  return countedCaller({ issuer, subject }, textAt(views, slot, "sourceIp"));
}

/** The rules that policy was asked by for this slot's Check: those of the host's other paths run away on their own. */
export function ruleAt(buffer: SharedArrayBuffer, slot: number): Rules {
  const views = viewsOf(buffer);
  const isHost = slot >= 0 && slot < views.slots && textAt(views, slot, "endpoint") === "host";
  return isHost ? "host" : "mcp";
}

/** True if this slot's Check names one tool, prompt or resource; a list names none. */
export function isNamedAt(buffer: SharedArrayBuffer, slot: number): boolean {
  const views = viewsOf(buffer);
  return slot >= 0 && slot < views.slots && textAt(views, slot, "name") !== null;
}

function factsAt(views: Views, slot: number): AuditFacts {
  const text = (field: Field) => textAt(views, slot, field);
  const issuer = text("issuer");
  const actor = text("actor");
  return {
    ...newCheckFacts(text("requestId") ?? "", views.floats[(slot * SLOT_BYTES + 8) / 8] ?? 0),
    identity:
      issuer === null ? null : { issuer, subject: text("subject") ?? "", actors: actor === null ? [] : [actor] },
    meshRequestId: text("meshRequestId"),
    traceId: text("traceId"),
    door: (text("door") ?? "ext_authz") as Door,
    sourceIp: text("sourceIp"),
    server: text("server"),
    method: text("method"),
    kind: text("kind") as Kind | null,
    name: text("name"),
  };
}

/** Bounds the length again: the thread may have been ended in the middle of a write. */
function textAt({ units }: Views, slot: number, field: Field): string | null {
  const length = Math.min(units[(slot * SLOT_BYTES + LENGTHS_AT) / 2 + FIELD[field]] ?? 0, ROOM[field]);
  const at = (slot * SLOT_BYTES + TEXT_AT) / 2 + (OFFSETS[FIELD[field]] ?? 0);
  return length === 0 ? null : String.fromCharCode(...units.subarray(at, at + length));
}

function verdictOf(code: number): Verdict | null {
  if (code === UNDECIDED) return null;
  const detail = "answered; the serving thread ended before this line was written";
  if (code === PUBLIC) return { decision: "public", reason: null, detail };
  const reason = REASONS[code - 2];
  return reason === undefined ? null : { decision: REFUSALS[reason].kind, reason, detail };
}
