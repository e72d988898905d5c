// The composition root of `serve`: settings in, parts in order, closed in reverse. I/O through the parts.
import type { ServeOptions } from "./options.ts";
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { AuditDecision } from "../../authz/audit-record.ts";
import type { Check } from "../../authz/check.ts";
import { createDecisions, type DecisionPorts } from "../../authz/decision-call.ts";
import type { InFlight } from "../../authz/in-flight.ts";
import { refuse } from "../../authz/step.ts";
import { newCheckFacts } from "../../authz/facts.ts";
import type { Ports } from "../../authz/ports.ts";
import type { CatalogClient } from "../../catalog/client.ts";
import type { Config } from "../../config/load.ts";
import type { GrpcServer } from "../../envoy/grpc/grpc-server.ts";
import { toCheckResponse } from "../../envoy/to-check-response.ts";
import { createCheckHandler } from "../../envoy/check-handler.ts";
import { createExtMcp } from "../../extmcp/handler.ts";
import { createTickets } from "../../extmcp/ticket.ts";
import { loadWireStack } from "../../envoy/wire-stack.ts";
import { loadAssertionKeys } from "../assertion-keys.ts";
import { auditFailure, createAudit, type Audit } from "../../ops/audit/log.ts";
import { createGuard } from "../../ops/supervisor/heartbeat.ts";
import { createInFlight } from "../../ops/supervisor/in-flight.ts";
import { createMetrics, type Metrics } from "../../ops/metrics/serve.ts";
import type { Handover } from "../../ops/supervisor/messages.ts";
import {
  createSuspensions,
  refuseSuspended,
  type Suspension,
  type Suspensions,
} from "../../ops/supervisor/suspensions.ts";
import { loadSigningKeys, publicKeySet, type SigningKey } from "../../wristband/keys.ts";
import { createSigner, type SignerOptions } from "../../wristband/sign.ts";
import { authzenOf } from "./authzen.ts";
import { createLiveIdentity } from "./live-identity.ts";
import { createLiveCheck, type LiveCheck } from "./live-check.ts";
import { isReady, serveOps } from "./ops.ts";
import { catalogFor, createListedNames, startPolicy } from "./policy.ts";
import { createReloads, type SigningKeys } from "./reload.ts";
import { createRefetchRoute, refetchAddress, type RefetchDeps } from "./refetch.ts";
import { startRevocations, type RevocationStart } from "./revocations.ts";
import { createLiveSealer } from "../seal-keys.ts";
import { createTaskIds } from "../../authz/task-ids.ts";
import { tlsOf } from "../tls-listeners.ts";
import { createTraces, type Traces } from "../traces.ts";

export interface Serve {
  readonly authzPort: number;
  readonly opsPort: number;
  /** Null without the listener. */
  readonly authzenPort: number | null;
  /** Reads wristband keys, TLS files and revocations again and reopens the audit file (SIGHUP). A failed part stays as it was. */
  reload(): Promise<void>;
  /** Refuses this caller for a while. */
  suspend(suspension: Suspension): void;
  /** Not ready, drain, close. */
  stop(): Promise<void>;
}

/** Interval of the polls of files. */
const POLL_MS = 1000;
/** Interval of the polls of the catalogue: listening clients are told of a change when every serve has read it. */
const CATALOG_POLL_MS = 250;
export const AUDIT_QUEUE = 10_000;

/** Builds and starts the ext_authz service. @throws {Error} that names the key at fault */
export async function startServe(options: ServeOptions): Promise<Serve> {
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
  const doors = await frontDoors(config, doorParts, decisionPorts({ audit, metrics, inFlight }));
  const catalog = catalogFor(options, keys.current, { policy, listed });
  await catalog.restored;
  let stopping = false;
  const ops = serveOps(config, {
    ...{ metrics, policy, identity, revocations, catalog, audit, suspensions, configState: () => reloads.state() },
    ...{ traces, live, stopping: () => stopping, keySet: (of) => publicKeySet(keys[of]()) },
    refetch: refetchRoute(config, { refetcher: live.refetcher, keys: keys.current, audit, metrics }),
  });
  const parts = { keys, ...doors, ops, audit, revocations, policy, identity, live, catalog, metrics };
  const reloads = createReloads(options, parts);
  const opened = { opsPort: await ops.listen(), ...(await doors.listen()) };
  await Promise.all([identity.start(), live.start(), ...(isKept(catalog) ? [] : [catalog.poll()])]);
  for (const part of [policy, revocations, catalog, reloads]) part.watch(part === catalog ? CATALOG_POLL_MS : POLL_MS);
  const ready = isReady({ identity, revocations, policy });
  log.info("listening", { ...portsOf(opened), policy: policy.revision(), ready });
  return {
    ...opened,
    reload: reloads.reload,
    suspend: suspensions.suspend,
    async stop() {
      stopping = true;
      await leave(doors, config);
      for (const part of [reloads, catalog, policy, revocations, identity]) part.close();
      await live.close();
      await Promise.all([audit.close(), traces.close()]);
      await ops.close();
    },
  };
}

/** As the log names them. */
function portsOf({ authzPort: authz, opsPort: ops, authzenPort: authzen }: Omit<Serve, "reload" | "suspend" | "stop">) {
  return { authz, ops, ...(authzen !== null && { authzen }) };
}

function refetchRoute(
  config: Config,
  { audit, metrics, ...own }: Pick<RefetchDeps, "refetcher" | "keys"> & { audit: Audit; metrics: Metrics },
) {
  return createRefetchRoute(config, { ...own, audit: audit.write, observe: metrics.refetch, now: Date.now });
}

/** Takes over the suspensions of earlier threads. */
function suspensionsOf({ suspended }: Pick<Handover, "suspended">): Suspensions {
  const suspensions = createSuspensions(() => performance.now());
  for (const suspension of suspended) suspensions.suspend(suspension);
  return suspensions;
}

function metricsOf({ restarts, runaways }: Pick<Handover, "restarts" | "runaways">): Metrics {
  const metrics = createMetrics();
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

function signingKeys(config: Config): SigningKeys {
  let keys = loadSigningKeys(config.wristband.keys);
  let assertions = loadAssertionKeys(config);
  const sealer = createLiveSealer(config);
  return {
    tasks: sealer === null ? null : createTaskIds(sealer),
    reloadSealKeys: (next) => sealer?.reload(next),
    current: () => keys,
    assertions: () => assertions,
    reload: (next) => void (keys = loadSigningKeys(next.wristband.keys)),
    reloadAssertions: (next) => void (assertions = loadAssertionKeys(next)),
  };
}

function tracesOf({ config, log }: ServeOptions): Traces {
  return createTraces(config, { service: "mcp-authz-serve", log });
}

function auditOf({ config, log }: ServeOptions): Audit {
  const { file } = config.audit;
  return createAudit({
    file,
    maxQueued: AUDIT_QUEUE,
    monotonic: () => performance.now(),
    onFailure: auditFailure(log, file),
    afterAnother: file !== null, // a process that was killed, or that found the disk full, may have left half a line
  });
}

function signerOf({ config, log }: ServeOptions, sources: Pick<SignerOptions, "keys" | "listed">, metrics: Metrics) {
  const { issuer, audience, ttlSeconds } = config.wristband;
  const refetchAt = refetchAddress(config);
  const told = new Set<string>();
  const onLeftOut = (servers: readonly string[]) => {
    for (const server of servers) {
      metrics.leftOut(server);
      if (told.has(server)) continue;
      told.add(server);
      log.warn("server_left_out", { server, message: "not all of its names have room in lists of all servers" });
    }
  };
  const onCache = (result: "hit" | "miss") => metrics.cache("wristband", result);
  return createSigner({ issuer, audience, ttlSeconds, ...sources, refetchAt, now: Date.now, onCache, onLeftOut });
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

interface DoorParts {
  readonly live: LiveCheck;
  readonly identify: Ports["identify"];
  readonly beginSpan: Traces["begin"];
  /** Those that sign wristbands. */
  readonly keys: () => readonly SigningKey[];
}

/** The listeners at which decisions are asked for. */
async function frontDoors(config: Config, { identify, ...parts }: DoorParts, ports: DecisionPorts) {
  const { live } = parts;
  const grpc = await grpcServer(config, parts, ports);
  const authzen = authzenOf(config, { decisions: createDecisions(ports), live, identify });
  return {
    ...{ grpc, authzen },
    listen: async () => ({ authzPort: await grpc.listen(), authzenPort: (await authzen?.listen()) ?? null }),
    leave: () => {
      grpc.setServing(false);
      authzen?.leave();
    },
    drain: async (graceMs: number) => void (await Promise.all([grpc.drain(graceMs), authzen?.close(graceMs)])),
  };
}

async function grpcServer(
  config: Config,
  { live: { pipeline, answers }, keys, beginSpan }: Omit<DoorParts, "identify">,
  decisions: DecisionPorts,
): Promise<GrpcServer> {
  const { codec, createServer } = await loadWireStack(config.listen.authzStack);
  const responses = { answers, encode: codec.encode };
  const check: Check = (request, facts, signal) => pipeline().check(request, facts, signal);
  const { prefixMode } = config.extMcp;
  return createServer({
    address: config.listen.authz,
    tls: tlsOf(config, "authz"),
    handler: createCheckHandler({ ...decisions, check, codec, answers, beginSpan }),
    further: createExtMcp({
      ...decisions,
      pipeline,
      answers,
      prefixMode,
      beginSpan,
      tickets: createTickets(keys, Date.now),
    }),
    unknownClientResponse: () =>
      toCheckResponse(responses, refuse("internal"), newCheckFacts(randomUUID(), Date.now())).bytes,
    checkTimeoutMs: config.checkTimeoutMs,
  });
}

/** Says that it is not serving, and serves until those who ask have found out; then the calls under way end. */
async function leave(
  { leave: sayIt, drain }: Awaited<ReturnType<typeof frontDoors>>,
  { drainDelayMs, drainMs }: Config,
): Promise<void> {
  sayIt();
  await delay(drainDelayMs);
  await drain(drainMs);
}
