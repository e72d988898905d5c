// What serve reads again while it runs: at SIGHUP, and when files of its configuration have changed. I/O by the parts.
import type { TaskIds } from "../../authz/task-ids.ts";
import type { CatalogClient } from "../../catalog/client.ts";
import { changedKeys, configText, withLiveKeys } from "../../config/live.ts";
import type { Config } from "../../config/load.ts";
import type { GrpcServer } from "../../envoy/grpc/grpc-server.ts";
import type { Revocations } from "../../identity/revocations.ts";
import type { AuthzenServer } from "../../authzen/server.ts";
import type { Audit } from "../../ops/audit/log.ts";
import type { Metrics } from "../../ops/metrics/serve.ts";
import type { OpsServer } from "../../ops/ops-server.ts";
import { createReloader, type Prepared } from "../../ops/reload.ts";
import type { PolicyStore } from "../../policy/store.ts";
import type { SigningKey } from "../../wristband/keys.ts";
import { createConfigWatch, type ConfigWatch } from "../config-source.ts";
import { tlsParts } from "../tls-listeners.ts";
import type { LiveCheck } from "./live-check.ts";
import type { LiveIdentity } from "./live-identity.ts";
import type { ServeOptions } from "./options.ts";
import { prepareAll } from "./prepared.ts";
import { isFirst } from "./worker.ts";

/** The current keys that sign wristbands, and those that sign assertions. */
export interface SigningKeys {
  current(): readonly SigningKey[];
  assertions(): readonly SigningKey[];
  /** As {@link prepare}, for assertions. */
  prepareAssertions(config: Config): Prepared;
  /** Ids of tasks, sealed with `sessions.keys`; null without. */
  readonly tasks: TaskIds | null;
  /** As {@link prepare}, for `sessions.keys`. */
  prepareSealKeys(config: Config): Prepared | void;
  /** @throws {Error} that names the key at fault; the current keys stay */
  prepare(config: Config): Prepared;
}

/** The parts that are read again. */
export interface Reloadable {
  readonly keys: SigningKeys;
  readonly grpc: Pick<GrpcServer, "setTls">;
  readonly ops: Pick<OpsServer, "setTls">;
  readonly authzen: Pick<AuthzenServer, "setTls"> | null;
  readonly audit: Pick<Audit, "reopen">;
  readonly revocations: Pick<Revocations, "poll">;
  readonly policy: Pick<PolicyStore, "release">;
  readonly identity: Pick<LiveIdentity, "prepare">;
  readonly live: Pick<LiveCheck, "prepare">;
  readonly catalog: Pick<CatalogClient, "setServers">;
  readonly metrics: Pick<Metrics, "configReload">;
}

/** Without a configuration that can be read, the parts that need none are read all the same. */
export function createReloads(options: ServeOptions, parts: Reloadable): ConfigWatch {
  const { config: first, log, reread, source, handover, tell } = options;
  const { keys, grpc, ops, authzen, audit, revocations, policy, identity, live, catalog, metrics } = parts;
  let config = first;
  const reloader = createReloader<Config>({
    log,
    read: reread,
    onReload: (result) => ended(result, { metrics, tell }),
    about: () => ({
      kids: keys
        .current()
        .map(({ kid }) => kid)
        .join(" "),
    }),
    waiting: (next) => changedKeys(config, next),
    parts: ({ next, cause }) => ({
      // A configuration that is just being edited must not prevent the rotation of the audit file.
      "wristband keys": () => keys.prepare(next()),
      ...(config.assertions !== null && { "assertion keys": () => keys.prepareAssertions(withAssertions(next())) }),
      ...(config.sessions !== null && { "session keys": () => keys.prepareSealKeys(next()) }),
      ...tlsParts(config, {
        ...{ authz: grpc.setTls, ops: ops.setTls },
        ...(authzen !== null && { authzen: authzen.setTls }),
      }),
      // These are what an operator asks for by hand.
      ...(cause === "signal" && {
        "audit file": audit.reopen,
        revocations: revocations.poll,
        quarantine: policy.release,
      }),
      // In one step: rules tell users of several issuers apart in credentials and headers of both together.
      "issuers and servers": async () => {
        const applied = withLiveKeys(config, next());
        const hasChanged = changedKeys(config, applied).length > 0;
        const ready = await prepareAll([
          () => identity.prepare(applied),
          ...(hasChanged ? [() => live.prepare(applied)] : []),
        ]);
        const putInForce = async () => {
          void ready.putInForce();
          if (!hasChanged) return;
          config = applied;
          await catalog.setServers(new Set(Object.keys(config.servers)));
        };
        return { ...ready, putInForce, content: configText(applied) };
      },
    }),
  });
  const { worker } = handover;
  const isWatched = first.watchFiles && isFirst(worker);
  // The first of several workers tells the others, and reads with them.
  const onChange = worker === null ? null : () => Promise.resolve(tell({ type: "changed" }));
  return createConfigWatch(reloader, isWatched ? (source ?? null) : null, onChange);
}

function ended(
  result: "ok" | "failed",
  { metrics, tell }: Pick<Reloadable, "metrics"> & Pick<ServeOptions, "tell">,
): void {
  metrics.configReload(result);
  if (result === "ok") tell({ type: "taken" });
}

/** A configuration that has lost its section needs a restart: the keys stay. @throws {Error} then */
function withAssertions(next: Config): Config {
  if (next.assertions === null) throw new Error("assertions: is no longer there; a restart ends it");
  return next;
}
