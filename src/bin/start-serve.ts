import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import type { AuditDecision } from "../authz/audit-record.ts";
import { createCheck } from "../authz/check.ts";
import { refuse } from "../authz/outcome.ts";
import type { Ports } from "../authz/ports.ts";
import { newTrail } from "../authz/trail.ts";
import { createCatalogClient } from "../broker/catalog-client.ts";
import type { Config } from "../config.ts";
import { createCredentials } from "../credential/chain.ts";
import { createGrpcServer } from "../envoy/grpc-server.ts";
import { reply } from "../envoy/reply.ts";
import { createSettle } from "../envoy/settle.ts";
import { createIdentity, type IdentityService } from "../identity/identity.ts";
import type { Revocations } from "../identity/revocations.ts";
import { createAudit } from "../ops/audit.ts";
import type { Log } from "../ops/log.ts";
import { createMetrics, type Metrics, type StepName } from "../ops/metrics.ts";
import { createOpsServer, type OpsAnswer } from "../ops/ops-server.ts";
import type { Guard } from "../policy/evaluator.ts";
import { createPolicyStore, type PolicyStore } from "../policy/store.ts";
import { signCatalogToken } from "../wristband/catalog-token.ts";
import { loadSigningKeys, publicKeySet, type SigningKey } from "../wristband/keys.ts";
import { createSigner } from "../wristband/sign.ts";
import { answerSettings, checkSettings } from "./check-settings.ts";
import { credentialChains } from "./credential-chains.ts";
import { startRevocations } from "./start-revocations.ts";
import { urlOf } from "./start-broker.ts";

export interface ServeOptions {
  readonly config: Config;
  readonly log: Log;
  readonly opaPath: string | null;
  readonly guard: Guard;
  readonly quarantined: string | null;
  /** How often the supervisor had to start this service anew. */
  readonly restarts: number;
  readonly onRevision: (revision: string) => void;
  /** Revocations that an earlier thread has seen; null in the first one. */
  readonly remembered: readonly string[] | null;
  readonly onRemember: (lines: readonly string[], replace: boolean) => void;
}

export interface Serve {
  readonly authzPort: number;
  readonly opsPort: number;
  /** SIGHUP: wristband keys, the audit file and revocations. */
  reload(): Promise<void>;
  /** Not ready, drain, close. */
  stop(): Promise<void>;
}

const POLICY_POLL_MS = 1000;
const CATALOG_POLL_MS = 1000;
const REVOCATION_POLL_MS = 1000;
const AUDIT_QUEUE = 10_000;

/** Builds and starts the ext_authz service. @throws {Error} that names the key at fault */
export async function startServe(options: ServeOptions): Promise<Serve> {
  const { config, log } = options;
  const metrics = createMetrics();
  metrics.restarts(options.restarts);
  let keys = loadSigningKeys(config.wristband.keys);
  const policy = await startPolicy(options, metrics);
  const revocations = await startRevocations({ ...options, metrics });
  const identity = createIdentity({
    issuers: config.identity.issuers,
    now: Date.now,
    revoked: revocations.revoked,
    onFetch: (issuer, error) => {
      metrics.keyFetch(issuer, error === null);
      if (error === null) log.debug("keys_fetched", { issuer });
      else log.warn("keys_not_fetched", { issuer, message: error });
    },
    onCache: (result) => metrics.cache("token", result),
  });
  const audit = createAudit({
    file: config.audit.file,
    maxQueued: AUDIT_QUEUE,
    monotonic: () => performance.now(),
    onFailure: (message) => log.error("audit_failed", { message }),
  });
  const sign = createSigner({
    issuer: config.wristband.issuer,
    audience: config.wristband.audience,
    ttlSeconds: config.wristband.ttlSeconds,
    keys: () => keys,
    now: Date.now,
    onCache: (result) => metrics.cache("wristband", result),
  });
  const credentials = credentialChains(config, { log, metrics });
  const ports = timed(metrics, {
    identify: identity.identify,
    decide: policy.decide,
    visible: policy.visible,
    fetchCredential: createCredentials(credentials.chains),
    signWristband: sign,
  });
  const answers = answerSettings(config);
  const handler = createSettle({
    check: createCheck(checkSettings(config), ports),
    answers,
    audit: (record) => audit.write(record),
    observe: (decision: AuditDecision, reason, seconds) => metrics.observeCheck(decision, reason, seconds),
    now: Date.now,
    newRequestId: randomUUID,
  });
  const grpc = createGrpcServer({
    address: config.listen.authz,
    tls: tlsMaterial(config, "authz"),
    handler,
    strangerAnswer: () => reply(answers, refuse("internal"), newTrail(randomUUID(), Date.now())).bytes,
    checkTimeoutMs: config.checkTimeoutMs,
  });
  let stopping = false;
  const ops = operatorServer(config, {
    metrics,
    readiness: () => readiness({ stopping, policy, identity, revocations }),
    auditFailures: () => audit.stats.failed,
    revocations: revocations.status,
    keySet: () => publicKeySet(keys),
  });
  const opsPort = await ops.listen();
  const authzPort = await grpc.listen();
  await Promise.all([identity.start(), credentials.start()]);
  policy.watch(POLICY_POLL_MS);
  revocations.watch(REVOCATION_POLL_MS);
  const catalog = catalogClient(config, () => keys, policy);
  catalog.watch(CATALOG_POLL_MS);
  log.info("listening", { authz: authzPort, ops: opsPort, policy: policy.revision(), ready: identity.ready() });
  return {
    authzPort,
    opsPort,
    async reload() {
      keys = loadSigningKeys(config.wristband.keys);
      await audit.reopen();
      await revocations.poll();
      log.info("reloaded", { what: "wristband keys, audit file, revocations" });
    },
    async stop() {
      stopping = true;
      await grpc.drain(config.drainMs);
      catalog.close();
      policy.close();
      revocations.close();
      identity.close();
      await credentials.close();
      await audit.close();
      await ops.close();
    },
  };
}

interface OpsSources {
  readonly metrics: Metrics;
  readonly readiness: () => OpsAnswer;
  readonly auditFailures: () => number;
  readonly revocations: Revocations["status"];
  readonly keySet: () => string;
}

function operatorServer(config: Config, sources: OpsSources) {
  const { metrics, readiness: ready, auditFailures, revocations, keySet } = sources;
  return createOpsServer({
    name: "ops",
    address: config.listen.ops,
    tls: tlsMaterial(config, "ops"),
    routes: {
      "/healthz": () => ({ status: 200, contentType: "text/plain", body: "ok\n" }),
      "/readyz": ready,
      "/metrics": async () => {
        metrics.auditFailures(auditFailures());
        const { entries, stale } = revocations();
        metrics.revocations(entries, stale !== null);
        return { status: 200, contentType: metrics.contentType, body: await metrics.render() };
      },
      "/.well-known/jwks.json": () => ({ status: 200, contentType: "application/jwk-set+json", body: keySet() }),
    },
  });
}

function catalogClient(config: Config, keys: () => readonly SigningKey[], policy: PolicyStore) {
  return createCatalogClient({
    url: config.catalog.url ?? `${urlOf(config.listen.brokerOps, "brokerOps")}/catalog`,
    token: () => {
      const [key] = keys();
      return key === undefined ? "" : signCatalogToken(config.wristband, key, Date.now());
    },
    fetch,
    onChange: policy.setCatalog,
    monotonic: () => performance.now(),
  });
}

async function startPolicy(options: ServeOptions, metrics: Metrics): Promise<PolicyStore> {
  const { config, log } = options;
  const store: PolicyStore = await createPolicyStore({
    path: config.policy.path,
    rego: config.policy.rego,
    opaPath: options.opaPath,
    guard: options.guard,
    quarantined: options.quarantined,
    onReload: (result, message) => {
      metrics.policyReload(result);
      if (result === "ok") {
        metrics.policyRevision(store.revision());
        options.onRevision(store.revision());
        log.info("policy_live", { revision: store.revision() });
      } else log.error("policy_not_reloaded", { message, live: store.revision() });
    },
  });
  metrics.policyRevision(store.revision());
  options.onRevision(store.revision());
  return store;
}

/** Measures each step, outside of it (design 4.8). */
function timed(metrics: Metrics, ports: Ports): Ports {
  const measure = <A extends readonly unknown[], R>(step: StepName, run: (...args: A) => R) => {
    return (...args: A): R => {
      const started = performance.now();
      const done = () => metrics.observeStep(step, (performance.now() - started) / 1000);
      const result = run(...args);
      if (result instanceof Promise) void result.finally(done).catch(() => {});
      else done();
      return result;
    };
  };
  return {
    identify: measure("identify", ports.identify),
    decide: measure("decide", ports.decide),
    visible: measure("visible", ports.visible),
    fetchCredential: measure("credential", ports.fetchCredential),
    signWristband: measure("wristband", ports.signWristband),
  };
}

function tlsMaterial(config: Config, listener: "authz" | "ops") {
  const tls = config.tls[listener];
  if (tls === undefined) return null;
  const read = (key: string, file: string) => {
    try {
      return readFileSync(file);
    } catch {
      throw new Error(`tls.${listener}.${key}: ${file} cannot be read`);
    }
  };
  return {
    key: read("keyFile", tls.keyFile),
    cert: read("certFile", tls.certFile),
    clientCa: tls.clientCaFile === null ? null : read("clientCaFile", tls.clientCaFile),
    clientSans: tls.clientSans,
  };
}

interface Parts {
  readonly stopping: boolean;
  readonly policy: PolicyStore;
  readonly identity: IdentityService;
  readonly revocations: Revocations;
}

function readiness({ stopping, policy, identity, revocations }: Parts): OpsAnswer {
  const ready = !stopping && identity.ready();
  const body = {
    ready,
    policy: { revision: policy.revision(), stale: policy.stale() },
    issuers: identity.status().map(({ issuer, keys, lastError }) => ({ issuer, keys, lastError })),
    revocations: revocations.status(),
  };
  return { status: ready ? 200 : 503, contentType: "application/json", body: `${JSON.stringify(body)}\n` };
}
