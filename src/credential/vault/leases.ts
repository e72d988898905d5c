// Dynamic secrets of callers: each has a lease of its own, which is renewed while it is used, never used beyond its end, and
// revoked when nobody uses it. One request for all who ask at once. I/O through the log-in's session.
import { LRUCache } from "lru-cache";
import { untilAborted } from "../../async/abortable.ts";
import { later as timer, type Later } from "../../async/later.ts";
import type { Credential, Identity } from "../../authz/types.ts";
import { ownerOf, type Owner } from "../lookup-cache.ts";
import { isSameCredential, type Lookup, type RefusedCredential } from "../source.ts";
import type { VaultClient } from "./client.ts";
import { HeldLease } from "./held-lease.ts";
import { readIssued, readRenewal, type Issued } from "./lease.ts";
import { LeaseRevoker, type LeaseRevokerDeps } from "./lease-revoker.ts";
import type { VaultSession } from "./session.ts";

export interface LeaseRequest {
  /** Injective over everything that the secret depends on, its caller among it. */
  readonly key: string;
  readonly identity: Identity;
  readonly server: string;
  /** Mount and path that issue the secret. */
  readonly path: string;
  readonly fields: readonly [string, ...string[]];
  readonly credentialOf: (values: readonly string[]) => Credential;
  /** Milliseconds without use after which the lease is revoked. */
  readonly idleMs: number;
  readonly refused: RefusedCredential | undefined;
  /** Told of each request to the engine. */
  readonly onRead: (outcome: "ok" | "unavailable", detail: string, ms: number) => void;
}

export interface Leases {
  get(request: LeaseRequest, signal: AbortSignal): Lookup | Promise<Lookup>;
  /** Revokes the leases of these callers. */
  purge(isRevoked: (owner: Owner) => boolean): void;
  /** Revokes all. */
  close(): Promise<void>;
  readonly size: number;
}

export interface LeasesDeps extends Pick<LeaseRevokerDeps, "onEvent"> {
  readonly session: Pick<VaultSession, "ask" | "logins" | "isLive">;
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic: () => number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly later?: Later;
  readonly maxLeases?: number;
}

interface Flight {
  readonly owner: Owner;
  readonly lookup: Promise<Lookup>;
}

const MAX_LEASES = 10_000;
/** A lease that another takes the place of serves the calls that are under way. */
const RETIRED_MS = 60_000;
const LATE: Lookup = { cannotTell: "the time of this Check ended before the answer came" };
const BROKEN: Lookup = { cannotTell: "internal" };

export function createLeases(deps: LeasesDeps): Leases {
  return new LeaseStore(deps);
}

class LeaseStore implements Leases {
  readonly #deps: LeasesDeps;
  readonly #later: Later;
  readonly #held: LRUCache<string, HeldLease>;
  readonly #flights = new Map<string, Flight>();
  /** Those whose place another has taken. */
  readonly #retired = new Set<HeldLease>();
  readonly #revoker: LeaseRevoker;
  #closed = false;

  constructor(deps: LeasesDeps) {
    this.#deps = deps;
    this.#later = deps.later ?? timer;
    this.#revoker = new LeaseRevoker({ ...deps, later: this.#later });
    this.#held = new LRUCache<string, HeldLease>({
      max: deps.maxLeases ?? MAX_LEASES,
      disposeAfter: (lease, _key, reason) => reason === "evict" && this.#end(lease),
    });
  }

  get size(): number {
    return this.#held.size + this.#retired.size;
  }

  get(request: LeaseRequest, signal: AbortSignal): Lookup | Promise<Lookup> {
    const held = this.#held.get(request.key);
    const flight = this.#flights.get(request.key);
    if (held !== undefined && this.#isUsable(held) && !isFetchedAnew(held, request, flight !== undefined)) {
      held.usedAt = this.#deps.monotonic();
      return { found: held.credential };
    }
    return untilAborted((flight ?? this.#start(request)).lookup, signal).catch(() => LATE);
  }

  purge(isRevoked: (owner: Owner) => boolean): void {
    for (const [key, { owner }] of this.#flights) if (isRevoked(owner)) this.#flights.delete(key);
    for (const [key, lease] of [...this.#held.entries()]) if (isRevoked(lease.owner)) this.#drop(key, lease);
    for (const lease of this.#retired) if (isRevoked(lease.owner)) this.#end(lease);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#flights.values()].map(({ lookup }) => lookup));
    for (const [key, lease] of [...this.#held.entries()]) this.#drop(key, lease);
    for (const lease of this.#retired) this.#end(lease);
    await this.#revoker.close();
  }

  /** The token that it was issued to has all its leases end with it: a lease of an earlier log-in is used no more. */
  #isUsable(lease: HeldLease): boolean {
    const { session, monotonic, now } = this.#deps;
    return lease.login === session.logins() && session.isLive() && lease.isUsable(monotonic(), now());
  }

  #start(request: LeaseRequest): Flight {
    const owner = ownerOf(request.identity);
    const isCurrent = () => this.#flights.get(request.key) === flight; // not purged
    const lookup = this.#issue(request, owner, isCurrent)
      .catch(() => BROKEN)
      .finally(() => isCurrent() && this.#flights.delete(request.key));
    const flight: Flight = { owner, lookup };
    this.#flights.set(request.key, flight);
    return flight;
  }

  async #issue(request: LeaseRequest, owner: Owner, isCurrent: () => boolean): Promise<Lookup> {
    const { session, monotonic, now, onEvent } = this.#deps;
    const asked = { at: monotonic(), epochMs: now(), login: -1 };
    const response = await session.ask((client: VaultClient) => {
      Object.assign(asked, { at: monotonic(), epochMs: now(), login: session.logins() });
      return client.issue(request.path);
    });
    const told = (outcome: "ok" | "unavailable", detail: string) =>
      request.onRead(outcome, detail, monotonic() - asked.at);
    const result = readIssued(response, request.fields);
    if ("cannotTell" in result) {
      told("unavailable", result.cannotTell);
      return result;
    }
    const lease = leaseOf(result.issued, request, { owner, ...asked });
    onEvent("issued", request.server, "");
    const fault = this.#faultOf(lease, result.issued, isCurrent());
    if (fault !== null) {
      this.#end(lease);
      told("unavailable", fault);
      return { cannotTell: fault };
    }
    told("ok", "");
    this.#hold(request.key, lease);
    return { found: { ...lease.credential, isCached: false } };
  }

  #faultOf(lease: HeldLease, { values }: Issued, isCurrent: boolean): string | null {
    if (typeof values === "string") return values;
    if (this.#closed || !isCurrent) return "the caller was revoked, or the gateway ends";
    return this.#isUsable(lease) ? null : "the lease is too short to be used";
  }

  #hold(key: string, lease: HeldLease): void {
    const before = this.#held.get(key);
    this.#held.set(key, lease);
    if (before !== undefined) this.#retire(before);
    this.#await(key, lease);
  }

  #retire(lease: HeldLease): void {
    lease.alarm?.cancel();
    this.#retired.add(lease);
    lease.alarm = this.#later(() => this.#end(lease), RETIRED_MS);
  }

  /** It may end with the log-in that asked for it, so the next use gets another. */
  #replaceLater(key: string, lease: HeldLease): void {
    this.#held.delete(key);
    this.#retire(lease);
  }

  /** Another may have its place already: that one stays. */
  #drop(key: string, lease: HeldLease): void {
    if (this.#held.peek(key) === lease) this.#held.delete(key);
    this.#end(lease);
  }

  #end(lease: HeldLease): void {
    lease.alarm?.cancel();
    this.#retired.delete(lease);
    lease.isEnded = true;
    this.#revoker.revoke(lease);
  }

  /** One alarm for each lease: at its renewal, when it may be idle, or at its end. */
  #await(key: string, lease: HeldLease): void {
    lease.alarm?.cancel();
    lease.alarm = this.#later(() => void this.#look(key, lease), lease.waitMs(this.#deps.monotonic()));
  }

  async #look(key: string, lease: HeldLease): Promise<void> {
    const now = this.#deps.monotonic();
    if (lease.isIdle(now) || lease.isOver(now)) this.#drop(key, lease);
    else if (lease.login !== this.#deps.session.logins()) this.#replaceLater(key, lease);
    else if (lease.isDue(now)) await this.#renew(key, lease);
    else this.#await(key, lease);
  }

  async #renew(key: string, lease: HeldLease): Promise<void> {
    const { session, monotonic, now, onEvent } = this.#deps;
    const at = { ms: monotonic(), epochMs: now() };
    const renewal = readRenewal(await session.ask((client) => client.renewLease(lease.id, lease.seconds)));
    if (lease.isEnded) return;
    if (renewal === "lost") {
      onEvent("lost", lease.server, "");
      this.#drop(key, lease);
      return;
    }
    if (renewal === "away") lease.postpone(monotonic());
    else if (renewal === "not allowed") lease.renewable = false;
    else lease.extend(renewal, at);
    if (typeof renewal === "object") onEvent("renewed", lease.server, "");
    else onEvent("not_renewed", lease.server, renewal);
    if (this.#held.peek(key) === lease) this.#await(key, lease);
  }
}

function leaseOf(
  { id, seconds, renewable, values }: Issued,
  { server, idleMs, credentialOf }: LeaseRequest,
  asked: { readonly owner: Owner; readonly at: number; readonly epochMs: number; readonly login: number },
): HeldLease {
  const credential = { ...credentialOf(typeof values === "string" ? [] : values), isCached: true };
  return new HeldLease({ id, seconds, renewable, server, idleMs, credential }, asked);
}

/** True for a refused credential, while another is being fetched already or if one may be. */
function isFetchedAnew(lease: HeldLease, { refused }: LeaseRequest, isUnderWay: boolean): boolean {
  if (refused === undefined || !isSameCredential(lease.credential, refused.credential)) return false;
  return isUnderWay || refused.mayAsk();
}
