// The resources whose changes a client wants to hear of, each with the proof that she may: a wristband that named it. The proof
// lasts while the policy that gave it is in force and the token lives; after that she hears nothing until another wristband
// names the resource. Pure but for what it calls back.
import { namesOf, type WristbandClaims } from "../../wristband/claims.ts";
import type { PoliciesInForce } from "../policies-in-force.ts";

/** The claims that prove a right. */
export type Proof = Pick<WristbandClaims, "policy" | "caller_exp">;

export interface Subscriptions {
  /** She subscribes, by a call whose wristband names the resource. */
  add(server: string, uri: string, proof: Proof): void;
  /** A call of hers has named this resource: nothing without a subscription. */
  renew(server: string, uri: string, proof: Proof): void;
  /** A list of hers has named these resources. */
  renewListed(wristband: WristbandClaims): void;
  delete(server: string, uri: string): void;
  /** True if she may be told now that it has changed. What she may not be told now, she is told once it is proven again. */
  hears(server: string, uri: string): boolean;
  /** True if one of them has no proof any more. */
  isAnySuspended(): boolean;
}

export interface SubscriptionsOptions {
  readonly policies: Pick<PoliciesInForce, "has">;
  /** False for a resource that the configuration hides from every caller of the endpoint. */
  readonly offers: (server: string, uri: string) => boolean;
  /** Receives a resource that changed while it had no proof. */
  readonly onMissed: (server: string, uri: string) => void;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Of one session; beyond, the oldest goes. */
const MAX = 1000;

interface Entry {
  readonly server: string;
  readonly uri: string;
  proof: Proof;
  /** True if it changed while it had no proof. */
  isMissed: boolean;
}

export function createSubscriptions(options: SubscriptionsOptions): Subscriptions {
  return new ProvenSubscriptions(options);
}

class ProvenSubscriptions implements Subscriptions {
  readonly #options: SubscriptionsOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(options: SubscriptionsOptions) {
    this.#options = options;
  }

  add(server: string, uri: string, proof: Proof): void {
    const [oldest] = this.#entries.keys();
    const key = keyOf(server, uri);
    if (this.#entries.size >= MAX && oldest !== undefined && !this.#entries.has(key)) this.#entries.delete(oldest);
    this.#entries.set(key, { server, uri, proof, isMissed: false });
  }

  renew(server: string, uri: string, proof: Proof): void {
    const entry = this.#entries.get(keyOf(server, uri));
    if (entry !== undefined) this.#prove(entry, proof);
  }

  renewListed(wristband: WristbandClaims): void {
    if (this.#entries.size === 0) return;
    const listed = new Map<string, ReadonlySet<string>>();
    for (const entry of this.#entries.values()) {
      const { server, uri } = entry;
      const names = listed.get(server) ?? new Set(namesOf(wristband, "resources", server));
      listed.set(server, names);
      if (names.has(uri)) this.#prove(entry, wristband);
    }
  }

  delete(server: string, uri: string): void {
    this.#entries.delete(keyOf(server, uri));
  }

  hears(server: string, uri: string): boolean {
    const entry = this.#entries.get(keyOf(server, uri));
    if (entry === undefined) return false;
    const isHeard = this.#isHeard(entry);
    if (!isHeard) entry.isMissed = true;
    return isHeard;
  }

  isAnySuspended(): boolean {
    return [...this.#entries.values()].some(({ proof }) => !this.#isInForce(proof));
  }

  #prove(entry: Entry, { policy, caller_exp }: Proof): void {
    if (!this.#isInForce({ policy, caller_exp })) return;
    entry.proof = { policy, caller_exp };
    if (!entry.isMissed || !this.#isHeard(entry)) return;
    entry.isMissed = false;
    this.#options.onMissed(entry.server, entry.uri);
  }

  #isHeard({ server, uri, proof }: Entry): boolean {
    return this.#isInForce(proof) && this.#options.offers(server, uri);
  }

  #isInForce({ policy, caller_exp: callerExp }: Proof): boolean {
    const { policies, now } = this.#options;
    return policy !== undefined && policies.has(policy) && now() < callerExp * 1000;
  }
}

function keyOf(server: string, uri: string): string {
  return `${server} ${uri}`; // no server's name has a space
}
