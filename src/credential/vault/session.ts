// The log-in at one Vault, shared by all servers, with its circuit breaker and its handling of 403. I/O through the client.
import { createBreaker } from "../breaker.ts";
import type { VaultResponse, VaultClient } from "./client.ts";
import { LoginKeeper, type LoginKeeperDeps } from "./login-keeper.ts";

export type ReadWith = (client: VaultClient) => Promise<VaultResponse>;

/** The gateway's log-in at one Vault. */
export interface VaultSession {
  /** Logs in and keeps the log-in alive. Resolves when the first attempt has ended, successful or not. */
  start(): Promise<void>;
  /** Sends one read with a valid log-in; logs in again, once, if the token turns out to be dead. */
  ask(read: ReadWith): Promise<VaultResponse>;
  /** The number of log-ins so far. */
  logins(): number;
  /** True while there is a log-in that has not ended. */
  isLive(): boolean;
  /** @param revoke true if the token was issued to this log-in, so that it is to end with it */
  close(revoke: boolean): Promise<void>;
}

const notSent = (fault: string): VaultResponse => ({ ok: false, fault, responded: false });
const NOT_LOGGED_IN = notSent("not logged in");
const BREAKER_OPEN = notSent("not asked, for it did not answer");
const TOKEN_STATE_UNKNOWN = notSent("status 403, and whether our token lives cannot be told");
const TOO_MANY_LOGINS = notSent("our tokens die as soon as they are issued");

export function createVaultSession(deps: LoginKeeperDeps): VaultSession {
  const keeper = new LoginKeeper(deps);
  const ask = createGuardedRead(deps.monotonic);
  const tokenState = createTokenCheck();
  const mayLogInAgain = createReloginLimit(deps.monotonic);
  return {
    start: () => keeper.start(),
    logins: () => keeper.count,
    isLive: () => keeper.isLive(),
    close: (revoke) => keeper.close(revoke),
    async ask(read) {
      const client = await keeper.client();
      if (client === null) return NOT_LOGGED_IN;
      const response = await ask(client, read);
      if (!response.ok || response.status !== 403) return response;
      if (keeper.isCurrent(client)) {
        const state = await tokenState(client);
        if (state !== "dead") return state === "alive" ? response : TOKEN_STATE_UNKNOWN;
      }
      // Replace the token unless another call has done so meanwhile.
      if (keeper.isCurrent(client)) {
        if (!mayLogInAgain()) return TOO_MANY_LOGINS;
        await keeper.replace(client);
      }
      const next = await keeper.client();
      return next === null ? NOT_LOGGED_IN : ask(next, read);
    },
  };
}

/** Makes a read that goes through the circuit breaker. */
function createGuardedRead(monotonic: () => number) {
  const breaker = createBreaker(monotonic);
  return async (client: VaultClient, read: ReadWith): Promise<VaultResponse> => {
    if (!breaker.enter()) return BREAKER_OPEN;
    let isUp = false;
    try {
      const response = await read(client);
      isUp = isOfWorkingVault(response);
      return response;
    } finally {
      breaker.leave(isUp);
    }
  };
}

/** True if a working Vault responded. A response that cannot be read may be due to one entry, and must not block the others. */
export function isOfWorkingVault(response: VaultResponse): boolean {
  if (!response.ok) return response.responded;
  return response.status < 500 && ![429, 472, 473].includes(response.status);
}

type TokenState = "alive" | "dead" | "unknown";

/**
 * Finds the cause of a 403: a dead token, or the policy. The texts differ between Vaults, so the token looks itself up, once
 * for all concurrent calls.
 */
function createTokenCheck() {
  let check: { readonly client: VaultClient; readonly state: Promise<TokenState> } | null = null;
  return (client: VaultClient): Promise<TokenState> => {
    if (check?.client === client) return check.state;
    const state = client
      .lookUpSelf()
      .then((response): TokenState => {
        if (!response.ok) return "unknown";
        return response.status === 403 ? "dead" : response.status === 200 ? "alive" : "unknown";
      })
      .finally(() => (check = null));
    check = { client, state };
    return state;
  };
}

const MAX_RELOGINS = 3;
const RELOGIN_WINDOW_MS = 5000;

/** Limits log-ins for dead tokens: many in a short time have another cause, and must not flood the Vault. */
function createReloginLimit(monotonic: () => number) {
  const times: number[] = [];
  return (): boolean => {
    const now = monotonic();
    while (times.length > 0 && now - (times[0] ?? 0) >= RELOGIN_WINDOW_MS) times.shift();
    if (times.length >= MAX_RELOGINS) return false;
    times.push(now);
    return true;
  };
}
