import type { LoginResult, VaultAuth } from "./login.ts";
import type { LookUp, VaultEntry } from "./source.ts";

type Fields = Readonly<Record<string, string | number>>;

export interface VaultLog {
  info(event: string, fields: Fields): void;
  warn(event: string, fields: Fields): void;
  error(event: string, fields: Fields): void;
}

export interface VaultMetrics {
  vaultRead(outcome: LookUp["outcome"], seconds: number): void;
  vaultLogin(result: "ok" | "failed" | "refused"): void;
}

export interface Reports {
  login(result: LoginResult, failures: number): void;
  mount(mount: string, reason: string, remedy: string): void;
  lookUp(entry: VaultEntry, lookUp: LookUp): void;
}

/** The same sentence about the same part is written once in this time. */
const QUIET_MS = 60_000;

/** What operators learn of a Vault: log lines with the key at fault and the remedy, never a value or a caller's name. */
export function createReports(
  auth: VaultAuth,
  { log, metrics, monotonic }: { log: VaultLog; metrics: VaultMetrics; monotonic: () => number },
): Reports {
  const toldAt = new Map<string, number>();
  const once = (what: string, tell: () => void) => {
    const last = toldAt.get(what);
    if (last !== undefined && monotonic() - last < QUIET_MS) return;
    toldAt.set(what, monotonic());
    tell();
  };
  return {
    login(result, failures) {
      metrics.vaultLogin(result.ok ? "ok" : result.refused ? "refused" : "failed");
      if (result.ok) {
        log.info("vault_logged_in", { leaseSeconds: result.lease.seconds ?? 0 });
      } else if (result.refused) {
        log.error("vault_login_refused", { ...remedyOf(auth), reason: result.detail, failures });
      } else if (isPowerOfTwo(failures)) {
        const message = "the Vault cannot be asked; servers that need it are refused with 503. Trying again";
        log.warn("vault_login_failed", { key: "vault.address", message, reason: result.detail, failures });
      }
    },
    mount(mount, reason, remedy) {
      once(`mount ${mount} ${reason}`, () => log.error("vault_mount_unusable", { mount, reason, remedy }));
    },
    lookUp({ server }, { outcome, detail, ms }) {
      metrics.vaultRead(outcome, ms / 1000);
      if (outcome !== "unavailable" && outcome !== "not_owner") return;
      once(`${server} ${detail}`, () => log.warn("vault_no_credential", { server, outcome, reason: detail }));
    },
  };
}

function remedyOf(auth: VaultAuth): { key: string; message: string } {
  if ("token" in auth) {
    const message =
      "the token is wrong, has ended, or may not read auth/token/lookup-self: put another into its file, which is read at each try";
    return { key: "vault.auth.token", message };
  }
  const message =
    "role id, secret id, mount or namespace is wrong, or the secret id has ended: put a new one into its file, which is read at each try";
  return { key: "vault.auth.approle", message };
}

/** An outage is told of at its begin and then ever less. */
function isPowerOfTwo(count: number): boolean {
  return (count & (count - 1)) === 0;
}
