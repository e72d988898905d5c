// The live policy: a change of its files is loaded beside the requests and takes over in one step; a broken one changes nothing.
import { createPoller, type Poller } from "../async/poll.ts";
import { createFairTurns, type FairTurns } from "../authz/fair-turns.ts";
import { pass, refuse, type Step } from "../authz/step.ts";
import type { Decision, ListDecision, PolicyInput, Visible } from "../authz/types.ts";
import type { CheckFacts } from "../authz/facts.ts";
import { compiledState } from "./compiled-folder.ts";
import type { HostDecision, HostQuestion } from "../authz/host-decision.ts";
import { decideHost } from "./envoy/decide-host.ts";
import { decide, visible, visibleByServer } from "./decision.ts";
import { createEvaluator, type Evaluator, type Guard } from "./evaluator.ts";
import {
  isWithoutOpa,
  readPolicy,
  underSettings,
  type LoadedPolicy,
  type PolicyFiles,
  type PolicySource,
} from "./load.ts";
import { opaFault } from "./opa.ts";
import { firstLine } from "./policy-error.ts";

export interface PolicyOptions extends PolicySource {
  readonly guard: Guard;
  /** A revision that ran away for several callers: it is not evaluated again until the policy's files change. */
  readonly quarantined: string | null;
  /** One whose rules of the host's other paths did; those of MCP are evaluated. */
  readonly hostQuarantined?: string | null;
  /** The policy that an earlier thread of this process had live: served at once, without opa and another self-test. */
  readonly kept: LoadedPolicy | null;
  readonly onReload: (result: "ok" | "failed", message: string) => void;
  /** The policy of another thread is live here, too. */
  readonly onAdopted?: () => void;
}

/** Names by server and kind: `data.catalog`. */
export interface CatalogData {
  readonly servers: Readonly<Record<string, Readonly<Record<keyof Visible, readonly string[]>>>>;
}

/** Polls its files, and makes a change live or keeps what is there. */
export interface PolicyStore extends Poller {
  /** @param check whom a runaway evaluation counts against; without it, the policy itself */
  decide(input: PolicyInput, check?: CheckFacts): Step<Decision>;
  /** Asks the rule of `policy.envoy` about a path that is no MCP endpoint. */
  decideHost(asked: HostQuestion, check?: CheckFacts): Step<HostDecision>;
  /** A list of one server, or of all where `input.mcp.server` is null. */
  visible(input: PolicyInput, signal: AbortSignal, check?: CheckFacts): Promise<Step<ListDecision>>;
  /** Null when there is none: then lists are refused. */
  setCatalog(catalog: CatalogData | null): void;
  revision(): string;
  /** The live policy, with the result of its self-test. */
  live(): LoadedPolicy;
  /** True while the live revision is not evaluated. */
  quarantined(): boolean;
  /** True while its rules of the host's other paths are not. */
  hostQuarantined(): boolean;
  /** Takes a policy that another thread has loaded and tried. */
  adopt(policy: LoadedPolicy): void;
  /** Evaluates these rules no more, if this revision is live. */
  quarantine(revision: string | null, rules: "mcp" | "host"): void;
  /** Evaluates a quarantined revision again, and has the next poll try files again that failed. */
  release(): void;
  /** The message of the last failed reload, or null when the files' policy is live. */
  stale(): string | null;
}

/**
 * The policy that is live. A change is compiled beside the requests and takes over in one step when it passed its
 * self-test; a broken one leaves the last good policy where it is.
 * @throws {Error} at the start, when there is no policy to begin with
 */
export async function createPolicyStore(options: PolicyOptions): Promise<PolicyStore> {
  const { kept } = options;
  const begun = kept === null ? await readPolicy(options).load(null) : underSettings(kept, options);
  const live = new LivePolicy(options, begun);
  // What was kept may be older than the files: the first poll looks.
  const files = new PolicyWatch(options, begun.sources, live);
  const poller = createPoller(() => files.look());
  return {
    decide: (input, check) => live.decide(input, check),
    decideHost: (asked, check) => live.decideHost(asked, check),
    visible: (input, signal, check) => live.visible(input, signal, check),
    setCatalog: (catalog) => live.setCatalog(catalog),
    revision: () => live.revision,
    live: () => live.policy,
    quarantined: () => live.quarantined.mcp,
    hostQuarantined: () => live.quarantined.host,
    adopt(policy) {
      live.replace(underSettings(policy, options));
      options.onAdopted?.();
    },
    quarantine: (revision, rules) => live.quarantine(revision, rules),
    release() {
      live.release();
      files.tryAgain();
    },
    stale: () => files.stale,
    ...poller,
    close() {
      files.close();
      poller.close();
    },
  };
}

/**
 * A list costs milliseconds, a call a fifth of one. So each turn of the event loop evaluates one list, or one server's part of
 * it, callers in turns (round robin): a call waits for one evaluation at most, however many lists one caller asks for.
 */
export const LISTS = { perTurn: 1, maxActive: Infinity, maxPerKey: 256, maxWaiting: 512 };
const TOO_MANY = refuse("rate_limited", "too many lists are asked for");
const LATE = refuse("deadline", "before the list's turn came");

const NOT_QUARANTINED = { mcp: false, host: false };

/** The policy and the catalogue that decide now. */
class LivePolicy {
  readonly #guard: Guard;
  readonly #takesCut: boolean;
  #policy: LoadedPolicy;
  #evaluator: Evaluator;
  #quarantined: { readonly mcp: boolean; readonly host: boolean };
  #catalog: CatalogData | null = null;
  readonly #lists: FairTurns = createFairTurns(LISTS);

  constructor({ guard, quarantined, hostQuarantined, envoy = null }: PolicyOptions, policy: LoadedPolicy) {
    this.#guard = guard;
    this.#takesCut = envoy?.truncatedBody === "ask";
    this.#policy = policy;
    this.#evaluator = createEvaluator(policy.artifact, null, guard);
    const { revision } = policy.artifact;
    this.#quarantined = { mcp: revision === quarantined, host: revision === hostQuarantined };
  }

  get policy(): LoadedPolicy {
    return this.#policy;
  }

  get revision(): string {
    return this.#evaluator.revision;
  }

  get quarantined(): { readonly mcp: boolean; readonly host: boolean } {
    return this.#quarantined;
  }

  release(): void {
    this.#quarantined = NOT_QUARANTINED;
  }

  quarantine(revision: string | null, rules: "mcp" | "host"): void {
    if (revision === this.#policy.artifact.revision) this.#quarantined = { ...this.#quarantined, [rules]: true };
  }

  /** A change of the files ends a quarantine, also where only a comment is new and the revision the same. */
  replace(policy: LoadedPolicy): void {
    this.#evaluator = createEvaluator(policy.artifact, this.#catalog, this.#guard);
    this.#policy = policy;
    this.#quarantined = NOT_QUARANTINED;
  }

  setCatalog(catalog: CatalogData | null): void {
    this.#evaluator = this.#evaluator.withCatalog(catalog);
    this.#catalog = catalog;
  }

  decide(input: PolicyInput, check?: CheckFacts): Step<Decision> {
    if (this.#quarantined.mcp) return quarantine();
    return decide(this.#evaluator, input, check);
  }

  decideHost(asked: HostQuestion, check?: CheckFacts): Step<HostDecision> {
    if (this.#quarantined.host) return quarantine();
    return decideHost(this.#evaluator, asked, { takesCut: this.#takesCut, check });
  }

  /** One revision answers for the whole list, whatever goes live meanwhile. */
  async visible(input: PolicyInput, signal: AbortSignal, check?: CheckFacts): Promise<Step<ListDecision>> {
    if (this.#quarantined.mcp) return quarantine();
    if (this.#catalog === null) return refuse("catalog_unavailable", "no catalogue yet");
    const evaluator = this.#evaluator;
    const { issuer, subject } = input.identity;
    const key = JSON.stringify([issuer, subject]);
    const ask = async (question: PolicyInput) => visible(evaluator, question, check);
    const inTurn = async (question: PolicyInput) => {
      const step = await this.#lists.run(key, () => ask(question), signal);
      if (typeof step === "object") return step;
      return step === "full" ? TOO_MANY : LATE;
    };
    const names =
      input.mcp.server !== null || isSmall(this.#catalog)
        ? await inTurn(input)
        : await visibleByServer(inTurn, { input, servers: Object.keys(this.#catalog.servers) }, signal);
    return names.ok ? pass({ revision: evaluator.revision, names: names.value }) : names;
  }
}

/** Files that failed. They are tried again once something beside them is otherwise. */
interface Waiting {
  readonly files: PolicyFiles;
  /** {@link compiledState} before they were tried: `.compiled` may come after its rules. */
  readonly compiled: string | null;
  /** What was said of opa; null where none is lacking. */
  readonly said: string | null;
}

/** Looks at the files of the policy: what of them is live, and why what stands there now is not. */
class PolicyWatch {
  readonly #options: PolicyOptions;
  readonly #live: LivePolicy;
  /** The hash of what was looked at last; null to load what is there, whatever was seen. */
  #seen: string | null;
  #failure: string | null = null;
  #waiting: Waiting | null = null;
  #unreadable: string | null = null;
  #closed = false;

  constructor(options: PolicyOptions, seen: string, live: LivePolicy) {
    this.#options = options;
    this.#seen = seen;
    this.#live = live;
  }

  get stale(): string | null {
    return this.#unreadable ?? this.#failure;
  }

  async look(): Promise<void> {
    if (this.#closed) return;
    const changed = this.#changed() ?? (await this.#untried());
    if (changed !== null) await this.#reload(changed);
  }

  tryAgain(): void {
    if (this.#failure !== null) this.#seen = null;
  }

  close(): void {
    this.#closed = true;
  }

  async #untried(): Promise<PolicyFiles | null> {
    if (this.#waiting === null || this.#unreadable !== null) return null;
    const { files, compiled, said } = this.#waiting;
    if (compiledState(this.#options.path) !== compiled) return files;
    if (said === null) return null;
    const fault = opaFault(await this.#options.findOpa());
    return fault?.lines[0] === said ? null : files;
  }

  async #reload(changed: PolicyFiles): Promise<void> {
    this.#waiting = null;
    const compiled = compiledState(this.#options.path);
    try {
      const loaded = await changed.load(this.#live.policy.artifact);
      if (this.#closed) return;
      this.#live.replace(loaded);
      this.#failure = null;
      this.#options.onReload("ok", `policy ${this.#live.revision} is live`);
    } catch (error) {
      if (this.#closed) return;
      const said = isWithoutOpa(error) ? (error.lines[0] ?? "") : null;
      this.#waiting = { files: changed, compiled, said };
      this.#failure = firstLine(error);
      this.#options.onReload("failed", this.#failure);
    }
  }

  #changed(): PolicyFiles | null {
    const { onReload } = this.#options;
    try {
      const found = readPolicy(this.#options);
      const wasAway = this.#unreadable !== null;
      this.#unreadable = null;
      if (found.hash !== this.#seen) {
        this.#seen = found.hash;
        return found;
      }
      if (wasAway) onReload(this.#failure === null ? "ok" : "failed", this.#failure ?? "the policy is there again");
      return null;
    } catch (error) {
      const message = error instanceof Error ? error.message : "the policy cannot be read";
      if (this.#unreadable !== message) onReload("failed", message);
      this.#unreadable = message;
      return null;
    }
  }
}

/** Names that policy is asked about in one evaluation: a few milliseconds. */
const MAX_AT_ONCE = 500;

function isSmall({ servers }: CatalogData): boolean {
  let names = 0;
  for (const { tools, prompts, resources } of Object.values(servers))
    names += Math.max(tools.length, prompts.length, resources.length);
  return names <= MAX_AT_ONCE;
}

function quarantine(): Step<never> {
  return refuse("policy_unavailable", "quarantined: this revision ran away for several callers; change the policy");
}
