// Prometheus metrics of the configuration's files, of serve and of the broker. No I/O.
import { Counter, Gauge, type Registry } from "prom-client";

export interface ConfigMetrics {
  /** The configuration was read again while the process runs. */
  configReload(result: "ok" | "failed"): void;
  configStale(isStale: boolean): void;
}

export function createConfigMetrics(registers: Registry[]): ConfigMetrics {
  const stale = new Gauge({
    name: "mcp_authz_config_stale",
    help: "1 while the configuration cannot be used as it stands in its files, and an older one is in force",
    registers,
  });
  const reloads = new Counter({
    name: "mcp_authz_config_reloads_total",
    help: "Readings of the configuration while the process runs",
    labelNames: ["result"],
    registers,
  });
  for (const result of ["ok", "failed"]) reloads.inc({ result }, 0);
  return {
    configReload: (result) => reloads.inc({ result }),
    configStale: (isStale) => stale.set(isStale ? 1 : 0),
  };
}
