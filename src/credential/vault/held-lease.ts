// One lease of a dynamic secret: until when it may be used, when it is renewed, and when it counts as idle. Pure; times are passed in.
import type { Alarm } from "../../async/later.ts";
import type { Credential } from "../../authz/types.ts";
import type { Owner } from "../lookup-cache.ts";

export interface LeaseFacts {
  readonly id: string;
  /** Life from the request on. */
  readonly seconds: number;
  readonly renewable: boolean;
  readonly server: string;
  /** Milliseconds without use after which it is revoked. */
  readonly idleMs: number;
  readonly credential: Credential;
}

/** When it was asked for. */
export interface Asked {
  readonly owner: Owner;
  /** Milliseconds of a clock that never jumps. */
  readonly at: number;
  /** Milliseconds since the epoch. */
  readonly epochMs: number;
  /** The number of the log-in that asked. */
  readonly login: number;
}

/** The part of its life after which it is renewed. */
const RENEW_AT = 1 / 2;
/** It is not used in its last seconds: a call takes its time. */
const MARGIN_MS = 30_000;
const MARGIN_PART = 1 / 4;
/** A renewal that leaves less than this part of the first life is the last one: a maximum is near. */
const WHOLE = 0.9;
const MIN_WAIT_MS = 100;
/** Timers of Node reach 24.8 days. */
const MAX_WAIT_MS = 24 * 3600_000;

export class HeldLease {
  readonly id: string;
  readonly seconds: number;
  readonly server: string;
  readonly credential: Credential;
  readonly owner: Owner;
  readonly login: number;
  renewable: boolean;
  usedAt: number;
  alarm: Alarm | null = null;
  isEnded = false;
  readonly #idleMs: number;
  #endsAt: number;
  /** By the other clock: the monotonic one stands still while the machine sleeps (threat model: P12). */
  #endsAtEpochMs: number;
  #marginMs: number;
  #renewAt: number;

  constructor({ id, seconds, renewable, server, idleMs, credential }: LeaseFacts, asked: Asked) {
    this.id = id;
    this.seconds = seconds;
    this.renewable = renewable;
    this.server = server;
    this.credential = credential;
    this.owner = asked.owner;
    this.login = asked.login;
    this.usedAt = asked.at;
    this.#idleMs = idleMs;
    const lifeMs = seconds * 1000;
    this.#endsAt = asked.at + lifeMs;
    this.#endsAtEpochMs = asked.epochMs + lifeMs;
    this.#marginMs = Math.min(MARGIN_MS, lifeMs * MARGIN_PART);
    this.#renewAt = asked.at + lifeMs * RENEW_AT;
  }

  isUsable(ms: number, epochMs: number): boolean {
    return !this.isEnded && ms < this.#endsAt - this.#marginMs && epochMs < this.#endsAtEpochMs - this.#marginMs;
  }

  isIdle(ms: number): boolean {
    return ms >= this.usedAt + this.#idleMs;
  }

  isOver(ms: number): boolean {
    return ms >= this.#endsAt;
  }

  isDue(ms: number): boolean {
    return this.renewable && ms >= this.#renewAt;
  }

  /** Milliseconds until something is to be done. */
  waitMs(ms: number): number {
    const next = Math.min(this.usedAt + this.#idleMs, this.#endsAt, this.renewable ? this.#renewAt : Infinity);
    return Math.min(MAX_WAIT_MS, Math.max(MIN_WAIT_MS, next - ms));
  }

  /** The Vault could not be asked: another try after half of what is left. */
  postpone(ms: number): void {
    this.#renewAt = ms + Math.max(1000, (this.#endsAt - ms) / 2);
  }

  /** Near its maximum a Vault gives less than was asked for: the rest is used, and not renewed once more. */
  extend(
    { seconds, renewable }: { readonly seconds: number; readonly renewable: boolean },
    at: { readonly ms: number; readonly epochMs: number },
  ): void {
    // What is left of a maximum may have been rounded up to a second.
    const lifeMs = (seconds < this.seconds ? seconds - 1 : seconds) * 1000;
    this.#endsAt = at.ms + lifeMs;
    this.#endsAtEpochMs = at.epochMs + lifeMs;
    this.#marginMs = Math.min(this.#marginMs, lifeMs * MARGIN_PART);
    this.#renewAt = at.ms + lifeMs * RENEW_AT;
    this.renewable = renewable && seconds >= this.seconds * WHOLE;
  }
}
