// Circuit breakers: after failures in a row a server is not called for a while, then one call tries it. One server's breaker
// touches no other, and one caller alone opens it for herself only, unless the server cannot be reached at all. Pure but for the clock.

/** The end of a call, as far as it tells how its server is. */
export type CallHealth =
  /** It has answered this call. */
  | "well"
  /** Nothing: a credential was refused, the client left, a limit of ours. */
  | "unknown"
  /** No answer in its time, or HTTP 5xx: it can be this call's or this caller's alone. */
  | "failed"
  /** No connection: it is the same for everybody. */
  | "unreachable";

export const BREAKER_STATES = ["closed", "open", "half_open"] as const;
export type BreakerState = (typeof BREAKER_STATES)[number];

export interface BreakerSettings {
  /** In a row, until calls are refused. */
  readonly failures: number;
  readonly coolDownMs: number;
}

export type Admission =
  | { readonly ok: true; readonly end: (health: CallHealth) => void }
  | { readonly ok: false; readonly retryAfterMs: number };

export interface Breaker {
  /** @param caller a key of issuer and subject */
  admit(caller: string): Admission;
  /** For all callers. */
  state(): BreakerState;
}

/** Callers with failures that are remembered; beyond it the oldest is forgotten. */
const MAX_CALLERS = 1000;

/** @param monotonic milliseconds of a clock that never goes back */
export function createBreaker(settings: BreakerSettings, monotonic: () => number): Breaker {
  const forAll = new Circuit(settings, monotonic);
  const own = new Map<string, Circuit>();
  /** By caller, since the server was well to anybody: one counts for no more than half. */
  const blamed = new Map<string, number>();
  const half = Math.ceil(settings.failures / 2);

  const well = (caller: string) => {
    blamed.clear();
    own.delete(caller);
    forAll.close();
  };
  const failed = (caller: string) => {
    const circuit = own.get(caller) ?? new Circuit(settings, monotonic);
    own.delete(caller);
    own.set(caller, circuit);
    for (const oldest of own.keys()) if (own.size > MAX_CALLERS) own.delete(oldest);
    circuit.fail();
    if (blamed.size < MAX_CALLERS || blamed.has(caller)) blamed.set(caller, (blamed.get(caller) ?? 0) + 1);
    const sum = [...blamed.values()].reduce((total, count) => total + Math.min(count, half), 0);
    if (blamed.size > 1 && sum >= settings.failures) forAll.open();
  };
  return {
    state: () => forAll.state(),
    admit(caller) {
      const circuit = own.get(caller) ?? null;
      const waitMs = Math.max(forAll.waitMs(caller), circuit?.waitMs(caller) ?? 0);
      if (waitMs > 0) return { ok: false, retryAfterMs: waitMs };
      const endProbes = [forAll.begin(caller), circuit?.begin(caller)];
      return {
        ok: true,
        end(health) {
          for (const endProbe of endProbes) endProbe?.(health);
          if (health === "well") well(caller);
          if (health === "failed") failed(caller);
          if (health === "unreachable") forAll.fail();
        },
      };
    },
  };
}

/** Closed, open until a time, or half open: then one call at a time is a probe. */
class Circuit {
  readonly #settings: BreakerSettings;
  readonly #monotonic: () => number;
  #failures = 0;
  #openUntil: number | null = null;
  #probe: { readonly caller: string; readonly begunAt: number } | null = null;
  /** Whose probe has failed: others come before her. */
  #failedBy: string | null = null;

  constructor(settings: BreakerSettings, monotonic: () => number) {
    this.#settings = settings;
    this.#monotonic = monotonic;
  }

  state(): BreakerState {
    if (this.#openUntil === null) return "closed";
    return this.#monotonic() < this.#openUntil ? "open" : "half_open";
  }

  /** Milliseconds until this caller may be the probe; 0 if she may call. */
  waitMs(caller: string): number {
    if (this.#openUntil === null) return 0;
    const { coolDownMs } = this.#settings;
    const now = this.#monotonic();
    const until = this.#openUntil + (caller === this.#failedBy ? coolDownMs : 0);
    if (now < until) return until - now;
    if (this.#probe === null) return 0;
    // A probe that hangs keeps its own caller only.
    const patience = this.#probe.begunAt + coolDownMs - now;
    return caller === this.#probe.caller ? coolDownMs : Math.max(0, patience);
  }

  /** Marks the call as a probe if the circuit is half open. */
  begin(caller: string): ((health: CallHealth) => void) | null {
    if (this.#openUntil === null) return null;
    const probe = { caller, begunAt: this.#monotonic() };
    this.#probe = probe;
    return (health) => {
      if (this.#probe === probe) this.#probe = null;
      if (health === "well" || health === "unknown" || this.#openUntil === null) return;
      this.#failedBy = caller;
      this.open();
    };
  }

  fail(): void {
    this.#failures += 1;
    if (this.#failures >= this.#settings.failures) this.open();
  }

  open(): void {
    this.#openUntil = this.#monotonic() + this.#settings.coolDownMs;
  }

  close(): void {
    this.#failures = 0;
    this.#openUntil = null;
    this.#probe = null;
    this.#failedBy = null;
  }
}
