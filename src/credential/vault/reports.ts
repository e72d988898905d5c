// Log events and metrics about a Vault. Effects through the log and metrics that are passed in.
import type { LoginResult, VaultAuth } from "./login.ts";
import type { LeaseEvent } from "./lease.ts";
import type { EntryRead, VaultEntry } from "./source.ts";

type Fields = Readonly<Record<string, string | number>>;

export interface VaultLog {
  info(event: string, fields: Fields): void;
  warn(event: string, fields: Fields): void;
  error(event: string, fields: Fields): void;
}

export interface VaultMetrics {
  vaultRead(outcome: EntryRead["outcome"], seconds: number): void;
  vaultLogin(result: "ok" | "failed" | "refused"): void;
  vaultLease(event: LeaseEvent): void;
}

export interface Reports {
  login(result: LoginResult, failures: number): void;
  mount(mount: string, reason: string, remedy: string): void;
  read(entry: VaultEntry, read: EntryRead): void;
  lease(event: LeaseEvent, server: string, detail: string): void;
}

/** The same event about the same mount or server is logged once in this time. */
const QUIET_MS = 60_000;

/** Makes the reports: log lines with the key at fault and the remedy, never with a value or a caller's name. */
export function createReports(
  auth: VaultAuth,
  { log, metrics, monotonic }: { log: VaultLog; metrics: VaultMetrics; monotonic: () => number },
): Reports {
  const loggedAt = new Map<string, number>();
  const once = (key: string, log: () => void) => {
    const last = loggedAt.get(key);
    if (last !== undefined && monotonic() - last < QUIET_MS) return;
    loggedAt.set(key, monotonic());
    log();
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
    lease(event, server, reason) {
      metrics.vaultLease(event);
      once(`lease ${event} ${server}`, () => tellLease(log, event, { server, reason }));
    },
    read({ server }, { outcome, detail, ms }) {
      metrics.vaultRead(outcome, ms / 1000);
      if (outcome !== "unavailable" && outcome !== "not_owner") return;
      once(`${server} ${detail}`, () => log.warn("vault_no_credential", { server, outcome, reason: detail }));
    },
  };
}

function tellLease(log: VaultLog, event: LeaseEvent, fields: Fields): void {
  if (event === "lost") {
    const message = "the Vault had ended the lease before its time; the next call gets another secret";
    log.warn("vault_lease_lost", { ...fields, message });
  } else if (event === "not_renewed") {
    const message = "the secret is used until its lease ends. Does our policy have update for sys/leases/renew?";
    log.warn("vault_lease_not_renewed", { ...fields, message });
  } else if (event === "not_revoked") {
    const message = "the secret lives until its lease ends. Does our policy have update for sys/leases/revoke?";
    log.warn("vault_lease_not_revoked", { ...fields, message });
  }
}

function remedyOf(auth: VaultAuth): { key: string; message: string } {
  if ("token" in auth) {
    const message =
      "the token is wrong, has ended, or may not read auth/token/lookup-self: put another into its file, which is read at each try";
    return { key: "vault.auth.token", message };
  }
  if ("kubernetes" in auth) {
    const message =
      "role, mount or namespace is wrong, or the Vault does not take this service account: see bound_service_account_names and audience of the role";
    return { key: "vault.auth.kubernetes", message };
  }
  const message =
    "role id, secret id, mount or namespace is wrong, or the secret id has ended: put a new one into its file, which is read at each try";
  return { key: "vault.auth.approle", message };
}

/** An outage is logged at its begin, and then ever more rarely. */
function isPowerOfTwo(count: number): boolean {
  return (count & (count - 1)) === 0;
}
