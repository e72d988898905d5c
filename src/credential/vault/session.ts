import { createBreaker } from "./breaker.ts";
import type { Reply, VaultClient } from "./client.ts";
import { LoginKeeper, type LoginKeeperDeps } from "./login-keeper.ts";

export type ReadWith = (client: VaultClient) => Promise<Reply>;

/** Our log-in at one Vault, shared by all servers. */
export interface VaultSession {
  /** Logs in, and keeps logged in. Resolves when the first try has ended, well or not. */
  start(): Promise<void>;
  /** One read with a live log-in; logs in anew, once, when the token turns out to be dead. */
  ask(read: ReadWith): Promise<Reply>;
  /** How often we have logged in. */
  logins(): number;
  /** @param revoke whether the token was issued to us, so that it may end with us */
  close(revoke: boolean): Promise<void>;
}

const NOT_LOGGED_IN: Reply = { ok: false, fault: "not logged in" };
const NOT_ASKED: Reply = { ok: false, fault: "not asked, for it did not answer" };
const NOT_KNOWN: Reply = { ok: false, fault: "status 403, and whether our token lives cannot be told" };
const DIES_AT_ONCE: Reply = { ok: false, fault: "our tokens die as soon as they are issued" };

export function createVaultSession(deps: LoginKeeperDeps): VaultSession {
  const keeper = new LoginKeeper(deps);
  const ask = createAsking(deps.monotonic);
  const tokenState = createTokenCheck();
  const mayLogInAgain = createReloginLimit(deps.monotonic);
  return {
    start: () => keeper.start(),
    logins: () => keeper.count,
    close: (revoke) => keeper.close(revoke),
    async ask(read) {
      const client = await keeper.client();
      if (client === null) return NOT_LOGGED_IN;
      const reply = await ask(client, read);
      if (!reply.ok || reply.status !== 403) return reply;
      if (keeper.isHolding(client)) {
        const state = await tokenState(client);
        if (state !== "dead") return state === "alive" ? reply : NOT_KNOWN;
      }
      // Nobody else has replaced it while we asked? Then we do.
      if (keeper.isHolding(client)) {
        if (!mayLogInAgain()) return DIES_AT_ONCE;
        await keeper.replace(client);
      }
      const next = await keeper.client();
      return next === null ? NOT_LOGGED_IN : ask(next, read);
    },
  };
}

/** Asks, unless nobody has answered for some time. */
function createAsking(monotonic: () => number) {
  const breaker = createBreaker(monotonic);
  return async (client: VaultClient, read: ReadWith): Promise<Reply> => {
    if (!breaker.enter()) return NOT_ASKED;
    let isThere = false;
    try {
      const reply = await read(client);
      isThere = answered(reply);
      return reply;
    } finally {
      breaker.leave(isThere);
    }
  };
}

/** Whether there is a Vault that works. An odd reply can be the fault of one entry, and must not stop all others. */
function answered(reply: Reply): boolean {
  if (!reply.ok) return ["not_json", "too_large", "encoded"].includes(reply.fault);
  return reply.status < 500 && ![429, 472, 473].includes(reply.status);
}

type TokenState = "alive" | "dead" | "unknown";

/**
 * A 403 is a dead token or the policy. Vaults word these differently, so the token looks itself up; once for all who
 * were refused with it.
 */
function createTokenCheck() {
  let check: { readonly client: VaultClient; readonly state: Promise<TokenState> } | null = null;
  return (client: VaultClient): Promise<TokenState> => {
    if (check?.client === client) return check.state;
    const state = client
      .lookUpSelf()
      .then((reply): TokenState => {
        if (!reply.ok) return "unknown";
        return reply.status === 403 ? "dead" : reply.status === 200 ? "alive" : "unknown";
      })
      .finally(() => (check = null));
    check = { client, state };
    return state;
  };
}

const MAX_RELOGINS = 3;
const RELOGIN_WINDOW_MS = 5000;

/** New log-ins for dead tokens are rare; more often, something else is wrong, and a Vault is not to be flooded. */
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
