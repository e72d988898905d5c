// The verifier of callers' tokens, with what follows `identity` of the configuration: other issuers are put in place in one step, and
// Checks that are under way end with those that they began with. I/O through the keys of issuers.
import { configText } from "../../config/live.ts";
import type { Config } from "../../config/load.ts";
import { clockFault } from "../../identity/clock-skew.ts";
import { createIdentity, type IdentityService, type IssuerOptions } from "../../identity/identity.ts";
import { createPossession } from "../../identity/possession.ts";
import type { Revocations } from "../../identity/revocations.ts";
import { createSharedProofs } from "../../identity/shared-proofs.ts";
import type { Metrics } from "../../ops/metrics/serve.ts";
import { issuersOf } from "../issuers.ts";
import type { ServeOptions } from "./options.ts";
import type { Prepared } from "../../ops/reload.ts";
import { documentOf } from "./policy.ts";

export interface LiveIdentity extends IdentityService {
  /** Makes the issuers of another configuration ready; null where they are the same. @throws {Error} that names the key at fault */
  prepare(config: Config): Promise<Prepared | null>;
}

/** Checks that began before a change may still wait for keys. */
const GRACE_MS = 1000;

interface Part {
  readonly issuers: string;
  readonly service: IdentityService;
}

export function createLiveIdentity(options: ServeOptions, metrics: Metrics, revocations: Revocations): LiveIdentity {
  const { config: first } = options;
  const kept = createKeptKeys(options);
  // One for all verifiers: a proof that was used counts no more, whoever verifies it.
  const { worker } = options.handover;
  const possession = createPossession({ now: Date.now, used: worker && createSharedProofs(worker.shared.proofs) });
  const partOf = (config: Config, issuers: readonly IssuerOptions[]): Part => {
    const service: IdentityService = createIdentity({
      issuers,
      tokenCacheBytes: first.limits.tokenCacheBytes,
      invalidTokensPerSecond: first.limits.invalidTokensPerSecond,
      now: Date.now,
      revoked: revocations.revoked,
      possession,
      onFetch: (issuer, error) => reportFetch(options, metrics, { issuer, error, service }),
      onCache: (result) => metrics.cache("token", result),
      onKeys: (issuer, bytes) => kept.set(nameOfKeys(config, issuer), bytes),
      keptKeys: (issuer) => kept.get(nameOfKeys(config, issuer)),
    });
    return { issuers: textOf(config, issuers), service };
  };

  let live = partOf(first, issuersOf(first));
  const leaving = new Map<IdentityService, NodeJS.Timeout>();
  return {
    identify: (...asked) => live.service.identify(...asked),
    start: () => live.service.start(),
    ready: () => live.service.ready(),
    status: () => live.service.status(),
    async prepare(next) {
      const issuers = issuersOf(next);
      if (textOf(next, issuers) === live.issuers) return null;
      const part = partOf(next, issuers);
      await part.service.start();
      const putInForce = () => {
        const { service: before } = live;
        live = part;
        const end = () => {
          leaving.delete(before);
          before.close();
        };
        leaving.set(before, setTimeout(end, first.checkTimeoutMs + GRACE_MS));
      };
      return { putInForce, drop: () => part.service.close() };
    },
    close() {
      for (const timer of leaving.values()) clearTimeout(timer);
      for (const service of [live.service, ...leaving.keys()]) service.close();
    },
  };
}

/** The keys that were fetched last, in this thread or in an earlier one, by their name. */
function createKeptKeys({ handover, tell }: ServeOptions) {
  const own = new Map<string, { readonly bytes: Uint8Array; readonly at: number }>();
  return {
    set(name: string, bytes: Uint8Array): void {
      own.set(name, { bytes: new Uint8Array(bytes), at: performance.now() });
      tell(documentOf(name, { bytes, tag: "" }));
    },
    get(name: string): { readonly bytes: Uint8Array; readonly ageMs: number } | null {
      const found = own.get(name);
      if (found === undefined) return handover.documents[name] ?? null;
      return { bytes: found.bytes, ageMs: performance.now() - found.at };
    },
  };
}

/** Another text for whatever makes another verifier. */
function textOf({ identity, outgoing }: Config, issuers: readonly IssuerOptions[]): string {
  return configText([identity.issuers, outgoing, issuers.map(({ ca }) => ca?.toString("base64") ?? null)]);
}

interface KeyFetch {
  readonly issuer: string;
  /** Null for success. */
  readonly error: string | null;
  readonly service: IdentityService;
}

function reportFetch({ log }: ServeOptions, metrics: Metrics, { issuer, error, service }: KeyFetch): void {
  metrics.keyFetch(issuer, error === null);
  if (error === null) log.debug("keys_fetched", { issuer });
  else log.warn("keys_not_fetched", { issuer, message: error });
  const clocks = clockFault(service.status(), issuer, Date.now());
  if (clocks !== null) log.warn("clock_differs", { ...clocks });
}

/** The name of an issuer's keys, in this thread and in the handover to the next. Another place of the keys is another name. */
function nameOfKeys({ identity }: Pick<Config, "identity">, name: string): string {
  const jwksUri = identity.issuers.find(({ issuer }) => issuer === name)?.jwksUri ?? "";
  return `keys ${name} ${jwksUri}`;
}
