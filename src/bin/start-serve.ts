import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import type { AuditDecision } from "../authz/audit-record.ts";
import { createCheck } from "../authz/check.ts";
import { refuse } from "../authz/outcome.ts";
import type { Ports } from "../authz/ports.ts";
import { newTrail } from "../authz/trail.ts";
import { createCatalogClient, type CatalogClient } from "../broker/catalog-client.ts";
import type { Config } from "../config.ts";
import { createCredentials } from "../credential/chain.ts";
import { createGrpcServer } from "../envoy/grpc-server.ts";
import { reply } from "../envoy/reply.ts";
import { createSettle } from "../envoy/settle.ts";
import { createIdentity } from "../identity/identity.ts";
import { createAudit } from "../ops/audit.ts";
import type { Log } from "../ops/log.ts";
import { createHttpClient } from "../http/client.ts";
import { createMetrics, type Metrics, type StepName } from "../ops/metrics.ts";
import { createOpsServer, type OpsAnswer } from "../ops/ops-server.ts";
import type { Guard } from "../policy/evaluator.ts";
import { createPolicyStore, type PolicyStore } from "../policy/store.ts";
import { signCatalogToken } from "../wristband/catalog-token.ts";
import { loadSigningKeys, publicKeySet, type SigningKey } from "../wristband/keys.ts";
import { createSigner } from "../wristband/sign.ts";
import { answerSettings, checkSettings } from "./check-settings.ts";
import { credentialChains } from "./credential-chains.ts";
import { urlOf } from "./start-broker.ts";
import { partsOf } from "./upstreams.ts";

export interface ServeOptions {
  readonly config: Config;
  /** The configuration as its file says now: SIGHUP takes its wristband keys. */
  readonly reread: () => Config;
  readonly log: Log;
  readonly opaPath: string | null;
  readonly guard: Guard;
  readonly quarantined: string | null;
  /** How often the supervisor had to start this service anew. */
  readonly restarts: number;
  readonly onRevision: (revision: string) => void;
}

export interface Serve {
  readonly authzPort: number;
  readonly opsPort: number;
  /** SIGHUP: wristband keys and the audit file. */
  reload(): Promise<void>;
  /** Not ready, drain, close. */
  stop(): Promise<void>;
}

const POLICY_POLL_MS = 1000;
const CATALOG_POLL_MS = 1000;
const AUDIT_QUEUE = 10_000;

/** Builds and starts the ext_authz service. @throws {Error} that names the key at fault */
export async function startServe(options: ServeOptions): Promise<Serve> {
  const { config, log } = options;
  const metrics = createMetrics();
  metrics.restarts(options.restarts);
  let keys = loadSigningKeys(config.wristband.keys);
  const policy = await startPolicy(options, metrics);
  const identity = createIdentity({
    issuers: config.identity.issuers,
    now: Date.now,
    onFetch: (issuer, error) => {
      metrics.keyFetch(issuer, error === null);
      if (error !== null) log.warn("keys_not_fetched", { issuer, message: error });
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
  const catalog = catalogClient(options, () => keys, policy);
  const ops = operatorServer(config, {
    metrics,
    readiness: () => readiness(!stopping && identity.ready(), policy, identity.status(), catalog),
    auditFailures: () => audit.stats.failed,
    keySet: () => publicKeySet(keys),
    catalog,
  });
  const opsPort = await ops.listen();
  const authzPort = await grpc.listen();
  await Promise.all([identity.start(), credentials.start(), catalog.poll()]);
  policy.watch(POLICY_POLL_MS);
  catalog.watch(CATALOG_POLL_MS);
  log.info("listening", { authz: authzPort, ops: opsPort, policy: policy.revision(), ready: identity.ready() });
  return {
    authzPort,
    opsPort,
    async reload() {
      const next = options.reread();
      keys = loadSigningKeys(next.wristband.keys);
      await audit.reopen();
      log.info("reloaded", { what: "wristband keys, audit file", kids: keys.map(({ kid }) => kid).join(" ") });
      const waiting = changedKeys(config, next);
      if (waiting.length > 0)
        log.warn("restart_needed", { message: `changed, but read at the start only: ${waiting.join(", ")}` });
    },
    async stop() {
      stopping = true;
      await grpc.drain(config.drainMs);
      catalog.close();
      policy.close();
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
  readonly keySet: () => string;
  readonly catalog: CatalogClient;
}

function operatorServer(config: Config, { metrics, readiness: ready, auditFailures, keySet, catalog }: OpsSources) {
  return createOpsServer({
    name: "ops",
    address: config.listen.ops,
    tls: tlsMaterial(config, "ops"),
    routes: {
      "/healthz": () => ({ status: 200, contentType: "text/plain", body: "ok\n" }),
      "/readyz": ready,
      "/metrics": async () => {
        metrics.auditFailures(auditFailures());
        metrics.catalog(catalog.state());
        return { status: 200, contentType: metrics.contentType, body: await metrics.render() };
      },
      "/.well-known/jwks.json": () => ({ status: 200, contentType: "application/jwk-set+json", body: keySet() }),
    },
  });
}

function catalogClient({ config, log }: ServeOptions, keys: () => readonly SigningKey[], policy: PolicyStore) {
  const url = config.catalog.url ?? `${urlOf(config.listen.brokerOps, "brokerOps")}/catalog`;
  const { origin, path } = partsOf(url);
  return createCatalogClient({
    http: createHttpClient({ origin, ca: null, maxConnections: 1 }),
    path,
    token: () => {
      const [key] = keys();
      return key === undefined ? "" : signCatalogToken(config.wristband, key, Date.now());
    },
    servers: new Set(Object.keys(config.servers)),
    onChange: policy.setCatalog,
    onFault: (message) => {
      if (message === null) log.info("catalog_read", {});
      else log.warn("catalog_not_read", { message });
    },
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

function readiness(
  ready: boolean,
  policy: PolicyStore,
  issuers: readonly { issuer: string; keys: number; lastError: string | null }[],
  catalog: CatalogClient,
): OpsAnswer {
  const body = {
    ready,
    policy: { revision: policy.revision(), stale: policy.stale() },
    issuers: issuers.map(({ issuer, keys, lastError }) => ({ issuer, keys, lastError })),
    catalog: catalog.state(),
  };
  return { status: ready ? 200 : 503, contentType: "application/json", body: `${JSON.stringify(body)}\n` };
}

/** What SIGHUP found changed and does not take, by top-level key. */
function changedKeys(before: Config, after: Config): string[] {
  const text = (config: Config, key: keyof Config) =>
    JSON.stringify(key === "wristband" ? { ...config.wristband, keys: null } : config[key]);
  return (Object.keys(after) as (keyof Config)[]).filter((key) => text(before, key) !== text(after, key));
}
