// Says in the log and in metrics how servers are listed: when one begins to fail, fails otherwise, recovers, and what was left
// out of its lists or changed, when that changes. I/O: the log.
import type { ServerSnapshot } from "../../broker/catalog/listed-server.ts";
import type { CatalogOptions } from "../../broker/catalog/snapshot.ts";
import type { Remarks } from "../../broker/catalog/remarks.ts";
import type { Log } from "../../ops/log.ts";
import type { BrokerMetrics } from "./ops.ts";

export function listingReporter(metrics: Pick<BrokerMetrics, "listed">, log: Log): CatalogOptions["onListed"] {
  const failing = new Map<string, string>();
  const reportUnfit = unfitReporter(log);
  const remarked = new Map<string, string>();
  return (server, error, listed) => {
    metrics.listed(server, error === null);
    const before = failing.get(server);
    if (error !== null) {
      failing.set(server, error);
      if (before !== error) log.warn("upstream_not_listed", { server, message: error });
      return;
    }
    failing.delete(server);
    reportUnfit(server, listed);
    if (before !== undefined) log.info("upstream_listed_again", { server });
    const { dropped = {}, changed = {} } = listed?.stats ?? {};
    const said = { leftOut: textOf(dropped), changed: textOf(changed) };
    const text = JSON.stringify(said);
    if ((remarked.get(server) ?? NOTHING) !== text) log.warn("definitions_changed", { server, ...said });
    remarked.set(server, text);
  };
}

/** Says of a direct server what its route cannot carry, when that changes. */
function unfitReporter(log: Log): (server: string, listed: ServerSnapshot | null) => void {
  const told = new Map<string, string>();
  return (server, listed) => {
    const faults = listed?.direct?.faults ?? [];
    const message = faults.join(" ");
    if (faults.length > 0 && told.get(server) !== message) log.warn("direct_cannot_carry", { server, message });
    told.set(server, message);
  };
}

const NOTHING = JSON.stringify({ leftOut: "", changed: "" });

/** `name: 2 (Create CIFS Share, a b); too_large: 1 (x)` */
function textOf(remarks: Remarks<string>): string {
  return Object.entries(remarks)
    .flatMap(([reason, remark]) =>
      remark === undefined ? [] : [`${reason}: ${remark.count} (${remark.names.join(", ")})`],
    )
    .join("; ");
}
