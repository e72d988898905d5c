// Log-ins at a Vault by callers' own tokens (auth method `jwt`): one Vault token per caller, kept while it lasts, bounded, given
// back when it is dropped. I/O through the client.
import { hash } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { Identity, TokenIdentity } from "../../authz/types.ts";
import { createBreaker, type Breaker } from "../breaker.ts";
import { cacheKey, ownerOf, type Owner } from "../lookup-cache.ts";
import { Secret } from "../../secret/secret.ts";
import type { VaultClient, VaultResponse } from "./client.ts";
import { readEntry, type EntryResult } from "./entry.ts";
import { logInByJwt, type LoginResult, type NewClient } from "./login.ts";
import { faultOfMount } from "./mount.ts";
import { isOfWorkingVault } from "./session.ts";

export interface CallerLogin {
  readonly mount: string;
  readonly role: string;
}

/** Mount and path of an entry. */
export interface EntryPlace {
  readonly mount: string;
  readonly path: string;
}

export interface CallerSessions {
  /** Reads one entry as its caller. */
  read(place: EntryPlace, fields: readonly [string, ...string[]], caller: Identity): Promise<EntryResult>;
  /** Gives back the tokens of these callers. */
  purge(isRevoked: (owner: Owner) => boolean): void;
  close(): Promise<void>;
}

export interface CallerSessionsDeps {
  readonly login: CallerLogin;
  readonly newClient: NewClient;
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic: () => number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly maxCallers?: number;
}

interface Held {
  readonly client: VaultClient;
  readonly owner: Owner;
}

/** The part of a lease's life after which the caller logs in anew. */
const RENEW_AT = 2 / 3;
const MOUNT_MS = 60_000;
const MAX_CALLERS = 1000;
const NO_TOKEN = "the caller came without a token, and nothing else can log in for it";
const PAUSED: VaultResponse = { ok: false, fault: "not asked, for it did not answer", responded: false };

export function createCallerSessions(deps: CallerSessionsDeps): CallerSessions {
  const tokens = new CallerTokens(deps);
  const goodMounts = new LRUCache<string, true>({
    max: 100,
    ttl: MOUNT_MS,
    ttlResolution: 0,
    perf: { now: deps.monotonic },
  });

  async function readWith(client: VaultClient, { mount, path }: EntryPlace): Promise<VaultResponse | EntryResult> {
    if (goodMounts.get(mount) !== true) {
      const looked = await tokens.guarded(() => client.read(`sys/internal/ui/mounts/${mount}`));
      const fault = faultOfMount(looked, mount);
      if (fault !== null) return { cannotTell: `mount ${mount}: ${fault.detail}` };
      goodMounts.set(mount, true);
    }
    return tokens.guarded(() => client.read(`${mount}/data/${path}`));
  }

  return {
    async read(place, [field, ...more], caller) {
      if (caller.method !== "jwt") return { refused: NO_TOKEN };
      for (let attempt = 0; ; attempt += 1) {
        const wasKept = tokens.has(caller);
        const client = await tokens.clientOf(caller);
        if (!("read" in client)) return client;
        const response = await readWith(client, place);
        if (!("ok" in response)) return response;
        const mayBeDead = response.ok && response.status === 403 && wasKept && attempt === 0;
        if (!mayBeDead) return readEntry(response, field, more);
        tokens.drop(caller);
      }
    },
    purge: (isRevoked) => tokens.purge(isRevoked),
    close: () => tokens.close(),
  };
}

/** The Vault tokens of callers, by caller and her own token. */
class CallerTokens {
  readonly #deps: CallerSessionsDeps;
  readonly #held: LRUCache<string, Held>;
  readonly #flights = new Map<string, Promise<LoginResult>>();
  readonly #leaving = new Set<Promise<unknown>>();
  readonly #breaker: Breaker;
  #closed = false;

  constructor(deps: CallerSessionsDeps) {
    this.#deps = deps;
    this.#breaker = createBreaker(deps.monotonic);
    this.#held = new LRUCache<string, Held>({
      max: deps.maxCallers ?? MAX_CALLERS,
      ttlResolution: 0,
      ttlAutopurge: false,
      perf: { now: deps.monotonic },
      dispose: (held) => this.#giveBack(held),
    });
  }

  async guarded(send: () => Promise<VaultResponse>): Promise<VaultResponse> {
    if (!this.#breaker.enter()) return PAUSED;
    const response = await send();
    this.#breaker.leave(isOfWorkingVault(response));
    return response;
  }

  has(caller: TokenIdentity): boolean {
    return this.#held.has(keyOf(caller));
  }

  drop(caller: TokenIdentity): void {
    this.#held.delete(keyOf(caller));
  }

  async clientOf(caller: TokenIdentity): Promise<VaultClient | EntryResult> {
    const key = keyOf(caller);
    const kept = this.#held.get(key);
    if (kept !== undefined) return kept.client;
    const flight = this.#flights.get(key) ?? this.#logIn(caller).finally(() => this.#flights.delete(key));
    this.#flights.set(key, flight);
    const result = await flight;
    if (result.ok) return result.lease.client;
    return result.refused ? { refused: "the Vault does not take the caller's token" } : { cannotTell: result.detail };
  }

  purge(isRevoked: (owner: Owner) => boolean): void {
    for (const [key, { owner }] of [...this.#held.entries()]) if (isRevoked(owner)) this.#held.delete(key);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#held.clear();
    await Promise.all(this.#leaving);
  }

  async #logIn(caller: TokenIdentity): Promise<LoginResult> {
    const { login, newClient, now } = this.#deps;
    const token = new Secret(caller.token.reveal());
    const result = await logInByJwt(login, token, { newClient, send: (ask) => this.guarded(ask) });
    if (!result.ok) return result;
    const { client, seconds } = result.lease;
    const left = caller.expiresAt * 1000 - now();
    const ttl = Math.floor(Math.min(left, seconds === null ? left : seconds * 1000 * RENEW_AT));
    const held = { client, owner: ownerOf(caller) };
    if (ttl < 1 || this.#closed) this.#giveBack(held);
    else this.#held.set(keyOf(caller), held, { ttl });
    return result;
  }

  #giveBack({ client }: Held): void {
    const end = client.revokeSelf().finally(() => this.#leaving.delete(end));
    this.#leaving.add(end);
  }
}

function keyOf(caller: TokenIdentity): string {
  return cacheKey(caller.issuer, caller.subject, tokenDigest(caller));
}

/** Part of every key: another token of one person may say other things of her. */
export function tokenDigest(caller: Identity): string {
  return caller.method === "jwt" ? hash("sha256", caller.token.reveal(), "base64url") : "";
}
