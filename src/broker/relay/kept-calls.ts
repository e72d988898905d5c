// Calls whose server waits for an answer of their client, who was asked by an `input_required` result: kept here until she comes
// back with the sealed state that she got. Pure but for randomness and timers.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/mrtr
import { hash, randomBytes } from "node:crypto";
import { later as timer, type Alarm, type Later } from "../../async/later.ts";
import type { Refused } from "../../authz/step.ts";
import { innerObjectSpan, readObjectSpan } from "../../json/spans.ts";
import { shortValue } from "../../mcp/upstream-message.ts";
import { MODERN } from "../../mcp/versions.ts";
import type { Sealer } from "../../secret/seal.ts";
import { callerKey } from "../../wristband/claims.ts";
import type { RelayCall } from "./admit.ts";
import type { RelayClient } from "./client-response.ts";

/** A call that waits. */
export interface KeptCall {
  /** Goes on with the client's next request. Resolves as `Relay.carry` does. */
  resume(call: RelayCall, client: RelayClient): Promise<Refused | null>;
  /** Ends it: its client did not come back. */
  giveUp(): void;
}

/** What a state says. */
export interface StateRef {
  readonly handle: string;
  /** Address of the replica that keeps the call. */
  readonly owner: string;
  /** False once its time is over. */
  readonly isFresh: boolean;
}

export interface KeptCalls {
  /** Where other replicas reach this one. */
  readonly address: string;
  /** Keeps a call and returns the state for its client; null if there are too many. @param until milliseconds since the epoch */
  keep(call: RelayCall, kept: KeptCall, until: number): string | null;
  /** The state in a request, if this caller got it for the same operation; null for any other, as for a server's own. */
  read(call: RelayCall): StateRef | null;
  /** Takes a call out, once; null if it does not wait here. */
  take(ref: StateRef): KeptCall | null;
  /** The call has ended. */
  drop(kept: KeptCall): void;
  readonly size: number;
}

export interface KeptCallsOptions {
  readonly sealer: Sealer;
  readonly address: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly later?: Later;
  readonly max?: number;
  readonly maxPerCaller?: number;
}

/** A person may take her time; a server must not wait for ever. */
export const KEPT_MS = 5 * 60_000;
const MAX_KEPT = 1024;
/** Of one caller: less than her calls at a time, so that others still have room. */
const MAX_PER_CALLER = 8;
const HANDLE_BYTES = 16;
const TIME_BYTES = 6;
/** The requests that may be answered by `input_required`. */
const ASKING_METHODS = new Set(["tools/call", "prompts/get", "resources/read"]);

interface Entry {
  readonly kept: KeptCall;
  readonly caller: string;
  readonly alarm: Alarm;
}

export function createKeptCalls(options: KeptCallsOptions): KeptCalls {
  return new SealedCalls(options);
}

class SealedCalls implements KeptCalls {
  readonly #options: KeptCallsOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(options: KeptCallsOptions) {
    this.#options = options;
  }

  get address(): string {
    return this.#options.address;
  }

  get size(): number {
    return this.#entries.size;
  }

  keep(call: RelayCall, kept: KeptCall, until: number): string | null {
    const { sealer, address, now, later = timer, max = MAX_KEPT, maxPerCaller = MAX_PER_CALLER } = this.#options;
    const caller = callerKey(call.wristband);
    const own = [...this.#entries.values()].filter((entry) => entry.caller === caller);
    const wait = until - now();
    if (this.size >= max || own.length >= maxPerCaller || wait <= 0) return null;
    const key = randomBytes(HANDLE_BYTES);
    const handle = key.toString("base64url");
    const alarm = later(() => this.#take(handle)?.giveUp(), wait);
    this.#entries.set(handle, { kept, caller, alarm });
    const time = Buffer.alloc(TIME_BYTES);
    time.writeUIntBE(Math.floor(until), 0, TIME_BYTES);
    return sealer.seal(Buffer.concat([key, time, Buffer.from(address)]), contextOf(call));
  }

  read(call: RelayCall): StateRef | null {
    const state = mayAsk(call) ? stateIn(call) : undefined;
    const value = typeof state === "string" ? this.#options.sealer.open(state, contextOf(call)) : null;
    if (value === null || value.length < HANDLE_BYTES + TIME_BYTES) return null;
    return {
      handle: value.toString("base64url", 0, HANDLE_BYTES),
      owner: value.toString("utf8", HANDLE_BYTES + TIME_BYTES),
      isFresh: this.#options.now() < value.readUIntBE(HANDLE_BYTES, TIME_BYTES),
    };
  }

  take({ handle, isFresh, owner }: StateRef): KeptCall | null {
    return isFresh && owner === this.address ? this.#take(handle) : null;
  }

  drop(kept: KeptCall): void {
    for (const [handle, entry] of this.#entries) if (entry.kept === kept) this.#take(handle);
  }

  #take(handle: string): KeptCall | null {
    const entry = this.#entries.get(handle);
    if (entry === undefined) return null;
    this.#entries.delete(handle);
    entry.alarm.cancel();
    return entry.kept;
  }
}

/** True for a request of the stateless revision that may be answered by a question. */
export function mayAsk({ operation, session }: RelayCall): boolean {
  return session === null && operation.version === MODERN && ASKING_METHODS.has(operation.method);
}

/** True for a request that goes on with another one. */
export function hasState({ body, operation }: RelayCall): boolean {
  return operation.version === MODERN && paramsIn(body)?.members.has("requestState") === true;
}

/** Undefined for none, and for one that is longer than any of ours. */
function stateIn({ body }: RelayCall): unknown {
  return shortValue(body, paramsIn(body)?.members.get("requestState"));
}

function paramsIn(body: Buffer) {
  return innerObjectSpan(body, readObjectSpan(body)?.members.get("params"));
}

/** Whose a call is, and what: with other arguments it would not be the one that policy saw. */
function contextOf({ scope, upstream, operation, name }: RelayCall) {
  const digest = hash("sha256", JSON.stringify(operation.arguments), "base64url");
  return { purpose: "kept-call", bound: [scope, upstream.name, operation.method, name, digest] };
}
