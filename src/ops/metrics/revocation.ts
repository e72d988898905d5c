// Prometheus metrics of the revocation file, part of serve's (serve.ts). No I/O.
import { Counter, Gauge, type Registry } from "prom-client";

export interface RevocationMetrics {
  revocations(entries: number, stale: boolean): void;
  revocationReload(result: "ok" | "failed"): void;
}

export function createRevocationMetrics(registers: Registry[]): RevocationMetrics {
  const entries = new Gauge({ name: "mcp_authz_revocations", help: "Revocations that are remembered", registers });
  const stale = new Gauge({
    name: "mcp_authz_revocations_stale",
    help: "1 while the revocation file cannot be read whole: serve is not ready, and all tokens are refused",
    registers,
  });
  const reloads = new Counter({
    name: "mcp_authz_revocation_reloads_total",
    help: "Changes of the revocation file",
    labelNames: ["result"],
    registers,
  });
  for (const result of ["ok", "failed"]) reloads.inc({ result }, 0);
  return {
    revocations(count, isStale) {
      entries.set(count);
      stale.set(isStale ? 1 : 0);
    },
    revocationReload: (result) => reloads.inc({ result }),
  };
}
