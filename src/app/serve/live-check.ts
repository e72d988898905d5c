// The pipeline with what follows the configuration's servers: SIGHUP puts a new one in place in one step, and Checks that are
// under way end with the one that they began with. I/O through the credential sources.
import { createPipeline, type Pipeline } from "../../authz/pipeline.ts";
import type { RefusalResponseSettings } from "../../authz/refusal-response.ts";
import type { Ports } from "../../authz/ports.ts";
import type { Step } from "../../authz/step.ts";
import type { AboutOthers } from "../../authzen/evaluate.ts";
import type { Identity } from "../../authz/types.ts";
import type { Config } from "../../config/load.ts";
import { answerSettings, checkSettings, liveAnswers } from "../../config/settings.ts";
import { createChains } from "../../credential/chain.ts";
import type { Refetcher } from "../../credential/refetch.ts";
import { identifyKeyOf, identifyTokenlessOf } from "../callers.ts";
import type { Revocations } from "../../identity/revocations.ts";
import type { Suspensions } from "../../ops/supervisor/suspensions.ts";
import type { Metrics } from "../../ops/metrics/serve.ts";
import {
  credentialChains,
  credentialDestinations,
  credentialHelp,
  type CredentialChains,
  type CredentialDeps,
} from "./credentials.ts";
import type { Prepared } from "../../ops/reload.ts";
import { refetcherOf } from "./refetch.ts";
import { aboutOthers } from "./about-others.ts";
import { timedPorts } from "./timed-ports.ts";

export interface LiveCheck extends Pick<CredentialChains, "start" | "purge" | "close" | "neverFound" | "leases"> {
  /** That of the configuration in force. A front door takes it once for each call. */
  pipeline(): Pipeline;
  /** The same, with what the configuration says of callers whom another party has verified. */
  readonly inForce: () => AboutOthers & { readonly pipeline: Pipeline };
  /** Those of the configuration in force. */
  readonly answers: RefusalResponseSettings;
  /** Keeps the calls whose credential may have to be fetched anew. */
  readonly refetcher: Refetcher;
  /** Makes another configuration ready. @throws {Error} that names the key at fault; what is in force stays */
  prepare(config: Config): Promise<Prepared>;
}

type CallerPorts = Pick<Ports, "identifyKey" | "identifyTokenless">;

export interface LiveCheckDeps extends CredentialDeps {
  readonly metrics: Metrics;
  readonly ports: Omit<Ports, "fetchCredential" | "relayed" | keyof CallerPorts>;
  readonly revocations: Pick<Revocations, "revoked">;
  /** Refuses callers that are suspended, however they came. */
  readonly suspensions: Pick<Suspensions, "refusal">;
}

/** Checks that began before a change may still ask its sources. */
const GRACE_MS = 1000;
/** Calls that an earlier configuration allowed may still use its leases at their servers. */
const LEASES_GRACE_MS = 60_000;

interface Part {
  readonly answers: RefusalResponseSettings;
  readonly pipeline: Pipeline;
  readonly about: AboutOthers;
  readonly credentials: CredentialChains;
  readonly destinations: ReadonlyMap<string, string>;
}

/** The ports of callers without an access token. */
function callerPorts(of: Config, { revocations, suspensions }: LiveCheckDeps): CallerPorts {
  const guards = { now: Date.now, revoked: revocations.revoked };
  const judge = <T extends Step<Identity> | null>(identified: T, source: string | null = null) =>
    identified?.ok === true ? (suspensions.refusal(identified.value, source) ?? identified) : identified;
  const identifyKey = identifyKeyOf(of, guards);
  const identifyTokenless = identifyTokenlessOf(of, guards);
  return {
    identifyKey: identifyKey && ((presented) => judge(identifyKey(presented))),
    identifyTokenless:
      identifyTokenless && ((asked) => judge(identifyTokenless(asked), asked.by === "nothing" ? asked.source : null)),
  };
}

const leasesOf = (parts: readonly Part[]) => parts.reduce((sum, { credentials }) => sum + credentials.leases(), 0);

const graceOf = (part: Part) => (leasesOf([part]) > 0 ? LEASES_GRACE_MS : GRACE_MS);

export function createLiveCheck(config: Config, deps: LiveCheckDeps): LiveCheck {
  const { ports } = deps;
  const refetcher = refetcherOf(config, (server) => live.destinations.get(server));
  const partOf = (of: Config): Part => {
    const credentials = credentialChains(of, deps);
    const destinations = credentialDestinations(of);
    const ask = createChains(credentials.chains, destinations, credentialHelp(of));
    const own: Pick<Ports, "fetchCredential" | "relayed"> & CallerPorts = {
      fetchCredential: (server, identity, signal) => ask(server, { identity }, signal),
      relayed: (call) => refetcher.keep(call, ask),
      ...callerPorts(of, deps),
    };
    const about = aboutOthers(of, { now: Date.now, revoked: deps.revocations.revoked, suspensions: deps.suspensions });
    return {
      ...{ answers: answerSettings(of), credentials, destinations, about },
      pipeline: createPipeline(checkSettings(of), timedPorts(deps.metrics, { ...ports, ...own })),
    };
  };
  let live = partOf(config);
  const leaving = new Map<Part, NodeJS.Timeout>();
  return {
    refetcher,
    answers: liveAnswers(() => live.answers),
    ...{ pipeline: () => live.pipeline, inForce: () => ({ ...live.about, pipeline: live.pipeline }) },
    start: () => live.credentials.start(),
    ...{ neverFound: () => live.credentials.neverFound(), leases: () => leasesOf([live, ...leaving.keys()]) },
    purge(isRevoked) {
      refetcher.purge(isRevoked);
      for (const { credentials } of [live, ...leaving.keys()]) credentials.purge(isRevoked);
    },
    async prepare(next) {
      const part = partOf(next);
      await part.credentials.start();
      const putInForce = () => {
        const before = live;
        live = part;
        const end = () => {
          leaving.delete(before);
          void before.credentials.close();
        };
        leaving.set(before, setTimeout(end, config.checkTimeoutMs + graceOf(before)));
      };
      return { putInForce, drop: () => void part.credentials.close() };
    },
    async close() {
      for (const timer of leaving.values()) clearTimeout(timer);
      await Promise.all([live, ...leaving.keys()].map(({ credentials }) => credentials.close()));
    },
  };
}
