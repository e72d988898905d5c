// Prometheus metrics of token exchange and Vault, part of serve's (serve.ts). No I/O.
import { Counter, Gauge, type Registry } from "prom-client";

export interface CredentialMetrics {
  /** One token exchange; cache hits are not counted. */
  exchange(outcome: "ok" | "none" | "unavailable"): void;
  /** One read of a caller's credential; cache hits are not counted. */
  vaultRead(outcome: "ok" | "none" | "unavailable" | "not_owner", seconds: number): void;
  /** Entries of chains that have found nothing so far, by their places in the configuration; set at a scrape. */
  credentialNeverFound(entries: readonly string[]): void;
  /** One refetch of a credential that its server refused. @param result of a closed set */
  refetch(result: string): void;
  /** `refused`: the configuration is at fault. */
  vaultLogin(result: "ok" | "failed" | "refused"): void;
  /** What became of a lease of a dynamic secret. @param event of a closed set */
  vaultLease(event: string): void;
  /** Leases that are held; set at a scrape. */
  vaultLeases(count: number): void;
}

export function createCredentialMetrics(
  registers: Registry[],
  observeVault: (seconds: number) => void,
): CredentialMetrics {
  const exchanges = new Counter({
    name: "mcp_authz_exchanges_total",
    help: "Token exchanges: a token, none for this caller, or no answer to rely on",
    labelNames: ["outcome"],
    registers,
  });
  const reads = new Counter({
    name: "mcp_authz_vault_reads_total",
    help: "Look-ups of callers' credentials at the Vault",
    labelNames: ["outcome"],
    registers,
  });
  const logins = new Counter({
    name: "mcp_authz_vault_logins_total",
    help: "Log-ins at the Vault; refused: the configuration is at fault",
    labelNames: ["result"],
    registers,
  });
  const gauge = () =>
    new Gauge({
      name: "mcp_authz_vault_last_login_ok",
      help: "1 if the last log-in at the Vault succeeded",
      registers,
    });
  let lastLogin: Gauge | null = null; // absent before the first log-in: without a Vault 0 would be an alarm
  for (const outcome of ["ok", "none", "unavailable", "not_owner"]) reads.inc({ outcome }, 0);
  for (const outcome of ["ok", "none", "unavailable"]) exchanges.inc({ outcome }, 0);
  for (const result of ["ok", "failed", "refused"]) logins.inc({ result }, 0);
  return {
    refetch: refetchCounter(registers),
    ...leaseMetrics(registers),
    credentialNeverFound: neverFoundGauge(registers),
    exchange: (outcome) => exchanges.inc({ outcome }),
    vaultRead(outcome, seconds) {
      reads.inc({ outcome });
      observeVault(seconds);
    },
    vaultLogin(result) {
      logins.inc({ result });
      lastLogin ??= gauge();
      lastLogin.set(result === "ok" ? 1 : 0);
    },
  };
}

function refetchCounter(registers: Registry[]): CredentialMetrics["refetch"] {
  const refetches = new Counter({
    name: "mcp_authz_credential_refetches_total",
    help: "Refetches of credentials that their servers refused with 401",
    labelNames: ["result"],
    registers,
  });
  for (const result of ["renewed", "same", "none", "unavailable", "unknown", "busy"]) refetches.inc({ result }, 0);
  return (result) => refetches.inc({ result });
}

function leaseMetrics(registers: Registry[]): Pick<CredentialMetrics, "vaultLease" | "vaultLeases"> {
  const events = new Counter({
    name: "mcp_authz_vault_leases_total",
    help: "What became of leases of dynamic secrets; lost: the Vault had ended one before its time",
    labelNames: ["event"],
    registers,
  });
  const held = new Gauge({
    name: "mcp_authz_vault_leases",
    help: "Leases of dynamic secrets that are held",
    registers,
  });
  for (const event of ["issued", "renewed", "revoked", "lost", "not_renewed", "not_revoked"]) events.inc({ event }, 0);
  return { vaultLease: (event) => events.inc({ event }), vaultLeases: (count) => held.set(count) };
}

function neverFoundGauge(registers: Registry[]): CredentialMetrics["credentialNeverFound"] {
  const silent = new Gauge({
    name: "mcp_authz_credential_never_found",
    help: "1 for an entry of a credential chain that has found nothing so far, while one behind it serves its callers",
    labelNames: ["entry"],
    registers,
  });
  return (entries) => {
    silent.reset();
    for (const entry of entries) silent.set({ entry }, 1);
  };
}
