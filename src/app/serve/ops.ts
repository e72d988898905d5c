// serve's operator listener: health, readiness, metrics, JWK Set, refetched credentials. I/O: HTTP.
import { threadId } from "node:worker_threads";
import type { CatalogClient } from "../../catalog/client.ts";
import type { Config } from "../../config/load.ts";
import type { IdentityService } from "../../identity/identity.ts";
import type { Revocations } from "../../identity/revocations.ts";
import type { Audit } from "../../ops/audit/log.ts";
import type { Metrics } from "../../ops/metrics/serve.ts";
import { createOpsServer, type OpsRequest, type OpsResponse, type OpsServer } from "../../ops/ops-server.ts";
import type { ConfigState } from "../../ops/reload.ts";
import type { Suspensions } from "../../ops/supervisor/suspensions.ts";
import type { PolicyStore } from "../../policy/store.ts";
import { REFETCH_PATH } from "../../wristband/refetch.ts";
import { tlsOf } from "../tls-listeners.ts";
import type { Traces } from "../traces.ts";
import type { LiveCheck } from "./live-check.ts";

type Routes = Readonly<Record<string, (request: OpsRequest) => OpsResponse | Promise<OpsResponse>>>;

export interface OpsRoutes {
  readonly routes: Routes;
  /** By POST alone. */
  readonly posts: Routes;
}

/** The parts whose state the listener shows. */
export interface ServeParts {
  readonly metrics: Metrics;
  readonly policy: PolicyStore;
  readonly identity: IdentityService;
  readonly revocations: Revocations;
  readonly catalog: CatalogClient;
  readonly audit: Pick<Audit, "stats">;
  readonly suspensions: Pick<Suspensions, "size">;
  readonly traces: Pick<Traces, "counts">;
  readonly live: Pick<LiveCheck, "neverFound" | "leases">;
  readonly stopping: () => boolean;
  readonly configState: () => ConfigState;
  /** Answers a broker whose server refused a credential. */
  readonly refetch: (request: OpsRequest) => Promise<OpsResponse>;
  /** The JWK Set to publish: of wristbands, or of assertions, for servers, which must not take a wristband for one. */
  readonly keySet: (of: "current" | "assertions") => string;
}

/** Makes the listener, of one service or of several workers. */
export function opsServer(config: Config, routes: OpsRoutes): OpsServer {
  return createOpsServer({ name: "ops", address: config.listen.ops, tls: tlsOf(config, "ops"), ...routes });
}

/** What the listener answers. @param isOneOfMany its metrics are added to those of other workers: they are JSON */
export function opsRoutes(parts: ServeParts, isOneOfMany: boolean): OpsRoutes {
  const { metrics, audit, catalog, policy, revocations, suspensions } = parts;
  const keySet = (of: "current" | "assertions") => () => {
    return { status: 200, contentType: "application/jwk-set+json", body: parts.keySet(of) };
  };
  return {
    posts: { [REFETCH_PATH]: parts.refetch },
    routes: {
      "/healthz": () => ({ status: 200, contentType: "text/plain", body: "ok\n" }),
      "/readyz": () => readiness(parts),
      "/metrics": async () => {
        metrics.auditFailures(audit.stats.failed);
        metrics.catalog(catalog.state());
        metrics.policyQuarantined(policy.quarantined() || policy.hostQuarantined());
        metrics.suspended(suspensions.size);
        metrics.traces(parts.traces.counts());
        metrics.vaultLeases(parts.live.leases());
        metrics.credentialNeverFound(parts.live.neverFound());
        metrics.configStale(parts.configState().stale !== null);
        const { entries, stale } = revocations.status();
        metrics.revocations(entries, stale !== null);
        const body = isOneOfMany
          ? JSON.stringify({ thread: threadId, values: await metrics.snapshot() })
          : await metrics.render();
        return { status: 200, contentType: metrics.contentType, body };
      },
      "/.well-known/jwks.json": keySet("current"),
      "/.well-known/assertion-jwks.json": keySet("assertions"),
    },
  };
}

/** True if tokens can be verified (keys of an issuer, and the revocations, are loaded) and the policy of MCP is not in quarantine. */
export function isReady({
  identity,
  revocations,
  policy,
}: Pick<ServeParts, "identity" | "revocations" | "policy">): boolean {
  return identity.ready() && revocations.status().stale === null && !policy.quarantined();
}

function readiness(parts: ServeParts): OpsResponse {
  const { stopping, policy, identity, revocations, catalog, configState } = parts;
  // The gRPC health that Envoy checks stays good all the same, so that clients get refusals with their reasons.
  const ready = !stopping() && isReady(parts);
  const body = {
    ready,
    policy: {
      revision: policy.revision(),
      stale: policy.stale(),
      quarantined: policy.quarantined(),
      hostQuarantined: policy.hostQuarantined(),
      warnings: policy.live().findings,
    },
    issuers: identity.status().map(({ issuer, keys, lastError, clockAheadMs }) => ({
      ...{ issuer, keys, lastError },
      clockAheadSeconds: clockAheadMs === null ? null : Math.round(clockAheadMs / 1000),
    })),
    revocations: revocations.status(),
    catalog: catalog.state(),
    credentials: { neverFound: parts.live.neverFound() },
    config: configState(),
  };
  return { status: ready ? 200 : 503, contentType: "application/json", body: `${JSON.stringify(body)}\n` };
}
