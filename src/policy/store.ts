import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { createFairTurns, type FairTurns } from "../authz/fair-turns.ts";
import { ConfigProblem } from "../files/config-problem.ts";
import { refuse, type Step } from "../authz/step.ts";
import type { PolicyInput, Decision, Visible } from "../authz/types.ts";
import type { CheckFacts } from "../authz/facts.ts";
import { parseJson } from "../json/parse.ts";
import { artifact, readBundle, type Artifact } from "./artifact.ts";
import { compilePolicy } from "./compile.ts";
import { decide, visible, visibleByServer } from "./decision.ts";
import { createEvaluator, type Evaluator, type Guard } from "./evaluator.ts";
import { selfTest, type Tried } from "./self-test.ts";
import { readSources, sourcesHash, type SourceFile } from "./sources.ts";

/** Where a policy is, and what makes it one that runs. */
export interface PolicySource {
  /** A folder of sources, or a bundle. */
  readonly path: string;
  readonly rego: "v0" | "v1";
  readonly opaPath: string | null;
}

export interface PolicyOptions extends PolicySource {
  readonly guard: Guard;
  /** A revision that ran away for several callers: it is not evaluated again until the policy's files change. */
  readonly quarantined: string | null;
  /** What an earlier thread of this process had live: served at once, without opa and another self-test. */
  readonly kept: KeptPolicy | null;
  readonly onReload: (result: "ok" | "failed", message: string) => void;
}

/** A policy that is live, for a thread that takes over. */
export interface KeptPolicy extends Tested {
  /** Of the files that it was made from. */
  readonly sources: string;
}

/** Names by server and kind: `data.catalog`. */
export interface CatalogData {
  readonly servers: Readonly<Record<string, Readonly<Record<keyof Visible, readonly string[]>>>>;
}

export interface PolicyStore {
  /** @param check whom a runaway evaluation counts against; without it, the policy itself */
  decide(input: PolicyInput, check?: CheckFacts): Step<Decision>;
  /** A list of one server, or of all where `input.mcp.server` is null. */
  visible(input: PolicyInput, signal: AbortSignal, check?: CheckFacts): Promise<Step<Visible>>;
  /** Null when there is none: then lists are refused. */
  setCatalog(catalog: CatalogData | null): void;
  revision(): string;
  /** What is live, with what its self-test found. */
  live(): KeptPolicy;
  /** True while the live revision is not evaluated. */
  quarantined(): boolean;
  /** Evaluates a quarantined revision again. */
  release(): void;
  /** The message of the last failed reload, or null when the files' policy is live. */
  stale(): string | null;
  /** Looks for a change, and makes it live or keeps what is there. */
  poll(): Promise<void>;
  /** Polls in this rhythm until `close`. */
  watch(everyMs: number): void;
  close(): void;
}

/**
 * The policy that is live. A change is compiled beside the requests and takes over in one step when it passed its
 * self-test; a broken one leaves the last good policy where it is (design 4.3).
 * @throws {Error} at the start, when there is no policy to begin with
 */
export async function createPolicyStore(options: PolicyOptions): Promise<PolicyStore> {
  const begun = options.kept ?? (await keep(look(options)));
  const live = new LivePolicy(options, begun);
  // What was kept may be older than the files: the first poll looks.
  const files = new PolicyFiles(options, begun.sources, live);
  let timer: NodeJS.Timeout | undefined;
  return {
    decide: (input, check) => live.decide(input, check),
    visible: (input, signal, check) => live.visible(input, signal, check),
    setCatalog: (catalog) => live.setCatalog(catalog),
    revision: () => live.revision,
    live: () => live.policy,
    quarantined: () => live.quarantined,
    release: () => live.release(),
    stale: () => files.stale,
    poll: () => files.poll(),
    watch(everyMs) {
      timer = setInterval(() => void files.poll(), everyMs);
      timer.unref();
    },
    close() {
      files.close();
      clearInterval(timer);
    },
  };
}

/**
 * A list costs milliseconds, a call a fifth of one. So one list, or one server's part of it, is evaluated in each turn of the
 * event loop, callers in turns: everybody else waits for one evaluation at most, however many lists one caller asks for.
 */
const LISTS = { perTurn: 1, maxActive: Infinity, maxPerKey: 256, maxWaiting: 512 };
const TOO_MANY = refuse("rate_limited", "too many lists are asked for");
const LATE = refuse("deadline", "before the list's turn came");

/** The policy and the catalogue that decide now. */
class LivePolicy {
  readonly #guard: Guard;
  #policy: KeptPolicy;
  #evaluator: Evaluator;
  #quarantined: boolean;
  #catalog: CatalogData | null = null;
  readonly #lists: FairTurns = createFairTurns(LISTS);

  constructor({ guard, quarantined }: PolicyOptions, policy: KeptPolicy) {
    this.#guard = guard;
    this.#policy = policy;
    this.#evaluator = createEvaluator(policy.artifact, null, guard);
    this.#quarantined = policy.artifact.revision === quarantined;
  }

  get policy(): KeptPolicy {
    return this.#policy;
  }

  get revision(): string {
    return this.#evaluator.revision;
  }

  get quarantined(): boolean {
    return this.#quarantined;
  }

  release(): void {
    this.#quarantined = false;
  }

  /** Whoever changed the files wants them tried, also where only a comment is new and the revision the same. */
  replace(policy: KeptPolicy): void {
    this.#evaluator = createEvaluator(policy.artifact, this.#catalog, this.#guard);
    this.#policy = policy;
    this.#quarantined = false;
  }

  setCatalog(catalog: CatalogData | null): void {
    this.#evaluator = this.#evaluator.withCatalog(catalog);
    this.#catalog = catalog;
  }

  decide(input: PolicyInput, check?: CheckFacts): Step<Decision> {
    if (this.#quarantined) return quarantine();
    if (check !== undefined) this.#guard.attribute(check);
    return decide(this.#evaluator, input);
  }

  async visible(input: PolicyInput, signal: AbortSignal, check?: CheckFacts): Promise<Step<Visible>> {
    if (this.#quarantined) return quarantine();
    if (this.#catalog === null) return refuse("catalog_unavailable", "no catalogue yet");
    const evaluator = this.#evaluator;
    const { issuer, subject } = input.identity;
    const key = JSON.stringify([issuer, subject]);
    const ask = async (question: PolicyInput) => {
      if (check !== undefined) this.#guard.attribute(check);
      return visible(evaluator, question);
    };
    const inTurn = async (question: PolicyInput) => {
      const step = await this.#lists.run(key, () => ask(question), signal);
      if (typeof step === "object") return step;
      return step === "full" ? TOO_MANY : LATE;
    };
    if (input.mcp.server !== null || isSmall(this.#catalog)) return inTurn(input);
    return visibleByServer(inTurn, { input, servers: Object.keys(this.#catalog.servers) }, signal);
  }
}

/** The files of the policy: what of them is live, and why what stands there now is not. */
class PolicyFiles {
  readonly #options: PolicyOptions;
  readonly #live: LivePolicy;
  /** The hash of what was looked at last. */
  #seen: string;
  #failure: string | null = null;
  #unreadable: string | null = null;
  #busy = false;
  #closed = false;

  constructor(options: PolicyOptions, seen: string, live: LivePolicy) {
    this.#options = options;
    this.#seen = seen;
    this.#live = live;
  }

  get stale(): string | null {
    return this.#unreadable ?? this.#failure;
  }

  async poll(): Promise<void> {
    if (this.#busy || this.#closed) return;
    this.#busy = true;
    const changed = this.#changed();
    if (changed !== null) await this.#reload(changed);
    this.#busy = false;
  }

  close(): void {
    this.#closed = true;
  }

  async #reload(found: Found): Promise<void> {
    try {
      const loaded = await keep(found);
      if (this.#closed) return;
      this.#live.replace(loaded);
      this.#failure = null;
      this.#options.onReload("ok", `policy ${this.#live.revision} is live`);
    } catch (error) {
      if (this.#closed) return;
      this.#failure = error instanceof Error ? error.message : "failed";
      this.#options.onReload("failed", this.#failure);
    }
  }

  #changed(): Found | null {
    const { onReload } = this.#options;
    try {
      const found = look(this.#options);
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

/** What stands at `policy.path` now, read once: what was hashed is what is loaded. */
interface Found {
  /** Of contents, not of times: editors and mounts play tricks with those. */
  readonly hash: string;
  readonly load: () => Promise<Artifact>;
}

function look(source: PolicySource): Found {
  const { path, rego } = source;
  if (!isFolder(path)) {
    const bytes = readFileSync(path);
    return { hash: createHash("sha256").update(bytes).digest("hex"), load: async () => readBundle(bytes) };
  }
  const files = readSources(path);
  const hash = sourcesHash(files, rego);
  return { hash, load: async () => readCompiled(path, hash) ?? compileFiles(source, files) };
}

/**
 * The policy that stands at `policy.path` now, with its sources where it is a folder. For commands: what a running serve
 * has live may be older.
 * @throws {Error} whose message is for the author
 */
export async function loadPolicy(
  source: PolicySource,
): Promise<Tested & { readonly files: readonly SourceFile[] | null }> {
  const loaded = await tested(look(source).load);
  return { ...loaded, files: isFolder(source.path) ? readSources(source.path) : null };
}

/** A policy that passed its self-test. */
interface Tested {
  readonly artifact: Artifact;
  readonly tried: Tried;
}

async function keep({ hash, load }: Found): Promise<KeptPolicy> {
  return { ...(await tested(load)), sources: hash };
}

async function tested(load: Found["load"]): Promise<Tested> {
  const loaded = await load();
  return { artifact: loaded, tried: await selfTest(loaded) };
}

function isFolder(path: string): boolean {
  if (!existsSync(path)) throw new ConfigProblem("policy.path", `${path} does not exist`);
  return statSync(path).isDirectory();
}

function compileFiles({ path, rego, opaPath }: PolicySource, files: readonly SourceFile[]): Promise<Artifact> {
  if (!files.some((file) => file.path.endsWith(".rego")))
    throw new ConfigProblem("policy.path", `${path} holds no .rego file`);
  return compilePolicy({ files, rego, opaPath });
}

/** A policy folder may bring its compiled form along: used while it belongs to exactly these sources. */
export const COMPILED_FOLDER = ".compiled";

interface CompiledManifest {
  readonly sources: string;
  readonly revision: string;
}

function readCompiled(path: string, sources: string): Artifact | null {
  const folder = join(path, COMPILED_FOLDER);
  if (!existsSync(join(folder, "manifest.json"))) return null;
  const manifest = parseJson(readFileSync(join(folder, "manifest.json"), "utf8")) as CompiledManifest;
  if (manifest.sources !== sources) return null;
  const loaded = artifact(readFileSync(join(folder, "policy.wasm")), readFileSync(join(folder, "data.json"), "utf8"));
  if (loaded.revision !== manifest.revision)
    throw new Error(`${folder} does not match its manifest: restore it, or delete the folder`);
  return loaded;
}
