// The composition root of `serve`: settings in, parts in order, closed in reverse. I/O through the parts.
import type { ServeOptions } from "./options.ts";
import { randomUUID } from "node:crypto";
import type { AuditDecision } from "../../authz/audit-record.ts";
import { type DecisionPorts } from "../../authz/decision-call.ts";
import type { InFlight } from "../../authz/in-flight.ts";
import type { CatalogClient } from "../../catalog/client.ts";
import type { Config } from "../../config/load.ts";
import { auditFailure, createAudit, type Audit } from "../../ops/audit/log.ts";
import { createGuard } from "../../ops/supervisor/heartbeat.ts";
import { createInFlight } from "../../ops/supervisor/in-flight.ts";
import { createMetrics, type Metrics } from "../../ops/metrics/serve.ts";
import type { Handover, OpsAnswer, OpsQuestion, WorkerPlace } from "../../ops/supervisor/messages.ts";
import type { OpsServer } from "../../ops/ops-server.ts";
import type { LoadedPolicy } from "../../policy/load.ts";
import type { PolicyStore } from "../../policy/store.ts";
import { createAuditTurns } from "../../ops/audit/turns.ts";
import type { ConfigWatch } from "../config-source.ts";
import {
  createSuspensions,
  refuseSuspended,
  type Suspension,
  type Suspensions,
} from "../../ops/supervisor/suspensions.ts";
import { publicKeySet } from "../../wristband/keys.ts";
import { createLiveIdentity } from "./live-identity.ts";
import { createLiveCheck, type LiveCheck } from "./live-check.ts";
import { isReady, opsRoutes, opsServer, type ServeParts } from "./ops.ts";
import { catalogFor, createListedNames, startPolicy } from "./policy.ts";
import { createReloads } from "./reload.ts";
import { frontDoors, leave } from "./doors.ts";
import { signerOf, signingKeys } from "./signing.ts";
import { answerFor, isFirst, listenOf, logOf } from "./worker.ts";
import { createRefetchRoute, type RefetchDeps } from "./refetch.ts";
import { startRevocations, type RevocationStart } from "./revocations.ts";
import { createTraces, type Traces } from "../traces.ts";

export interface Serve {
  readonly authzPort: number;
  readonly opsPort: number;
  /** Null without the listener. */
  readonly authzenPort: number | null;
  /** Reads wristband keys, TLS files and revocations again and reopens the audit file (SIGHUP). A failed part stays as it was. */
  readonly reload: ConfigWatch["reload"];
  /** Refuses this caller for a while. */
  suspend(suspension: Suspension): void;
  /** Takes the policy that another worker has live. */
  adopt(policy: LoadedPolicy): void;
  readonly quarantine: PolicyStore["quarantine"];
  /** Answers for the operator listener, which the main thread has where several workers serve. */
  answer(question: OpsQuestion): Promise<OpsAnswer>;
  /** Not ready, drain, close. */
  stop(): Promise<void>;
}

/** Interval of the polls of files. */
const POLL_MS = 1000;
/** Interval of the polls of the catalogue: listening clients are told of a change when every serve has read it. */
const CATALOG_POLL_MS = 250;
export const AUDIT_QUEUE = 10_000;

/** Builds and starts the ext_authz service. @throws {Error} that names the key at fault */
export function startServe(options: ServeOptions): Promise<Serve> {
  return compose({ ...options, log: logOf(options.log, options.handover.worker) });
}

async function compose(options: ServeOptions): Promise<Serve> {
  const { config, log, handover } = options;
  const metrics = metricsOf(handover);
  const keys = signingKeys(config);
  const inFlight = createInFlight(handover.inFlight);
  const policy = await startPolicy(options, createGuard(handover.heartbeat, inFlight), metrics);
  const suspensions = suspensionsOf(handover);
  const kept: { live?: LiveCheck } = {}; // at the start nothing is kept of anybody who is revoked
  const revocations = await revocationsOf(options, metrics, (isRevoked) => kept.live?.purge(isRevoked));
  const identity = createLiveIdentity(options, metrics, revocations);
  const [audit, listed, traces] = [auditOf(options), createListedNames(), tracesOf(options)];
  const ports = {
    ...{ note: inFlight.note.bind(inFlight), headerDropped: metrics.headerDropped, refusalOf: suspensions.refusalOf },
    ...{ identify: refuseSuspended(identity.identify, suspensions), mirrorsArguments: listed.mirrorsArguments },
    ...{ decide: policy.decide, visible: policy.visible, decideHost: policy.decideHost, openTask: keys.tasks?.open },
    signWristband: signerOf(options, { keys: keys.current, listed: listed.find }, metrics),
  };
  const ownKeys = { assertionKeys: keys.assertions };
  const live = (kept.live = createLiveCheck(config, { ports, log, metrics, suspensions, revocations, ...ownKeys }));
  const doorParts = { live, keys: keys.current, identify: ports.identify, beginSpan: traces.begin };
  const doors = await frontDoors(listening(options), doorParts, decisionPorts({ audit, metrics, inFlight }));
  const catalog = catalogFor(options, keys.current, { policy, listed });
  await catalog.restored;
  let stopping = false;
  const opsParts: ServeParts = {
    ...{ metrics, policy, identity, revocations, catalog, audit, suspensions, configState: () => reloads.state() },
    ...{ traces, live, stopping: () => stopping, keySet: (of) => publicKeySet(keys[of]()) },
    refetch: refetchRoute(options, { refetcher: live.refetcher, keys: keys.current, audit, metrics }),
  };
  const { routes, ops } = opsOf(options, opsParts);
  const parts = { keys, ...doors, ops, audit, revocations, policy, identity, live, catalog, metrics };
  const reloads = createReloads(options, parts);
  const opened = { opsPort: await ops.listen(), ...(await doors.listen()) };
  await Promise.all([identity.start(), live.start(), ...(isKept(catalog) ? [] : [catalog.poll()])]);
  for (const part of [...(isFirst(handover.worker) ? [policy] : []), revocations, reloads]) part.watch(POLL_MS);
  catalog.watch(CATALOG_POLL_MS);
  sayListening(options, opened, opsParts);
  return {
    ...opened,
    ...{ reload: reloads.reload, suspend: suspensions.suspend, adopt: policy.adopt, quarantine: policy.quarantine },
    answer: (question) => answerFor(routes, question),
    async stop() {
      stopping = true;
      await leave(doors, config);
      for (const part of [reloads, catalog, policy, revocations, identity]) part.close();
      for (const part of [live, audit, traces, ops]) await part.close();
    },
  };
}

function listening({ config, handover }: ServeOptions): Config {
  return { ...config, listen: listenOf(config, handover.worker) };
}

function sayListening(
  { log, handover: { worker } }: ServeOptions,
  opened: Parameters<typeof portsOf>[0],
  parts: ServeParts,
): void {
  const state = { policy: parts.policy.revision(), ready: isReady(parts) };
  const fields = { ...portsOf(opened, worker), ...state };
  if (worker === null) log.info("listening", fields);
  else log.info("worker_listening", fields);
}

/** As the log names them. */
function portsOf(
  { authzPort: authz, opsPort: ops, authzenPort: authzen }: Pick<Serve, "authzPort" | "opsPort" | "authzenPort">,
  worker: WorkerPlace | null,
) {
  return { authz, ...(worker === null && { ops }), ...(authzen !== null && { authzen }) };
}

function opsOf(options: ServeOptions, parts: ServeParts) {
  const { worker } = options.handover;
  const routes = opsRoutes(parts, worker !== null);
  return { routes, ops: worker === null ? opsServer(options.config, routes) : opsOfMain(options) };
}

/** The operator listener of several workers is the main thread's, and the first of them reads its files. */
function opsOfMain({ tell }: Pick<ServeOptions, "tell">): OpsServer {
  return {
    listen: () => Promise.resolve(0),
    setTls: (material) => tell({ type: "tls", material }),
    close: () => Promise.resolve(),
  };
}

function refetchRoute(
  { config, handover }: ServeOptions,
  { audit, metrics, ...own }: Pick<RefetchDeps, "refetcher" | "keys"> & { audit: Audit; metrics: Metrics },
) {
  const isLast = isFirst(handover.worker);
  return createRefetchRoute(config, { ...own, isLast, audit: audit.write, observe: metrics.refetch, now: Date.now });
}

/** Takes over the suspensions of earlier threads. */
function suspensionsOf({ suspended }: Pick<Handover, "suspended">): Suspensions {
  const suspensions = createSuspensions(() => performance.now());
  for (const suspension of suspended) suspensions.suspend(suspension);
  return suspensions;
}

function metricsOf({ restarts, runaways, worker }: Pick<Handover, "restarts" | "runaways" | "worker">): Metrics {
  const metrics = createMetrics(worker?.index);
  metrics.restarts(restarts);
  metrics.runaways(runaways);
  return metrics;
}

function revocationsOf(options: ServeOptions, metrics: Metrics, onRevoked: RevocationStart["onRevoked"]) {
  const { config, log, handover, tell } = options;
  return startRevocations({
    ...{ config, log, metrics, remembered: handover.remembered, onRevoked },
    onRemember: (memory) => tell({ type: "remember", memory }),
  });
}

/** True if the catalogue of an earlier thread was taken over; the first poll renews it. */
function isKept(catalog: CatalogClient): boolean {
  return catalog.state().ageSeconds !== null;
}

function tracesOf({ config, log }: ServeOptions): Traces {
  return createTraces(config, { service: "mcp-authz-serve", log });
}

function auditOf({ config, log, handover: { worker } }: ServeOptions): Audit {
  const { file } = config.audit;
  return createAudit({
    file,
    maxQueued: AUDIT_QUEUE,
    turns: worker && createAuditTurns(worker.shared.audit, worker.index),
    monotonic: () => performance.now(),
    onFailure: auditFailure(log, file),
    afterAnother: file !== null, // a process that was killed, or that found the disk full, may have left half a line
  });
}

function decisionPorts({
  audit,
  metrics,
  inFlight,
}: {
  readonly audit: Audit;
  readonly metrics: Metrics;
  readonly inFlight: InFlight;
}): DecisionPorts {
  return {
    audit: (record) => audit.write(record),
    inFlight,
    observe: (decision: AuditDecision, reason, seconds) => metrics.observeCheck(decision, reason, seconds),
    now: Date.now,
    newRequestId: randomUUID,
  };
}
