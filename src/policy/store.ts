import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { refuse, type Step } from "../authz/outcome.ts";
import type { PolicyInput } from "../authz/policy-input.ts";
import type { Decision, Visible } from "../authz/ports.ts";
import { parseJson } from "../mcp/parse-json.ts";
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
  /** A revision that ran away too often: it is not evaluated again until it changes. */
  readonly quarantined: string | null;
  readonly onReload: (result: "ok" | "failed", message: string) => void;
}

/** Names by server and kind: `data.catalog`. */
export interface CatalogData {
  readonly servers: Readonly<Record<string, Readonly<Record<keyof Visible, readonly string[]>>>>;
}

export interface PolicyStore {
  decide(input: PolicyInput): Step<Decision>;
  /** A list of one server, or of all where `input.mcp.server` is null. */
  visible(input: PolicyInput, server: string | null, signal: AbortSignal): Step<Visible> | Promise<Step<Visible>>;
  /** Null when there is none: then lists are refused. */
  setCatalog(catalog: CatalogData | null): void;
  revision(): string;
  /** What the self-test of the live policy found. */
  tried(): Tried;
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
  const found = look(options);
  const live = new LivePolicy(options, await tested(found.load));
  const files = new PolicyFiles(options, found, live);
  let timer: NodeJS.Timeout | undefined;
  return {
    decide: (input) => live.decide(input),
    visible: (input, server, signal) => live.visible(input, server, signal),
    setCatalog: (catalog) => live.setCatalog(catalog),
    revision: () => live.revision,
    tried: () => live.tried,
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

/** The policy and the catalogue that decide now. */
class LivePolicy {
  readonly #guard: Guard;
  readonly #quarantined: string | null;
  #evaluator: Evaluator;
  #tried: Tried;
  #catalog: CatalogData | null = null;

  constructor({ guard, quarantined }: PolicyOptions, { artifact: loaded, tried }: Tested) {
    this.#guard = guard;
    this.#quarantined = quarantined;
    this.#evaluator = createEvaluator(loaded, null, guard);
    this.#tried = tried;
  }

  get tried(): Tried {
    return this.#tried;
  }

  get revision(): string {
    return this.#evaluator.revision;
  }

  replace({ artifact: loaded, tried }: Tested): void {
    this.#evaluator = createEvaluator(loaded, this.#catalog, this.#guard);
    this.#tried = tried;
  }

  setCatalog(catalog: CatalogData | null): void {
    this.#evaluator = this.#evaluator.withCatalog(catalog);
    this.#catalog = catalog;
  }

  decide(input: PolicyInput): Step<Decision> {
    return this.#isQuarantined() ? quarantine() : decide(this.#evaluator, input);
  }

  visible(input: PolicyInput, server: string | null, signal: AbortSignal): Step<Visible> | Promise<Step<Visible>> {
    if (this.#isQuarantined()) return quarantine();
    if (this.#catalog === null) return refuse("catalog_unavailable", "no catalogue yet");
    if (server !== null || isSmall(this.#catalog)) return visible(this.#evaluator, input);
    return visibleByServer(this.#evaluator, { input, servers: Object.keys(this.#catalog.servers) }, signal);
  }

  #isQuarantined(): boolean {
    return this.#evaluator.revision === this.#quarantined;
  }
}

/** The files of the policy: what of them is live, and why what stands there now is not. */
class PolicyFiles {
  readonly #options: PolicyOptions;
  readonly #live: LivePolicy;
  #found: Found;
  #failure: string | null = null;
  #unreadable: string | null = null;
  #busy = false;
  #closed = false;

  constructor(options: PolicyOptions, found: Found, live: LivePolicy) {
    this.#options = options;
    this.#found = found;
    this.#live = live;
  }

  get stale(): string | null {
    return this.#unreadable ?? this.#failure;
  }

  async poll(): Promise<void> {
    if (this.#busy || this.#closed) return;
    this.#busy = true;
    if (this.#hasChanged()) await this.#reload();
    this.#busy = false;
  }

  close(): void {
    this.#closed = true;
  }

  async #reload(): Promise<void> {
    try {
      const loaded = await tested(this.#found.load);
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

  #hasChanged(): boolean {
    const { onReload } = this.#options;
    try {
      const found = look(this.#options);
      const wasAway = this.#unreadable !== null;
      this.#unreadable = null;
      const isSame = found.hash === this.#found.hash;
      if (!isSame) this.#found = found;
      else if (wasAway)
        onReload(this.#failure === null ? "ok" : "failed", this.#failure ?? "the policy is there again");
      return !isSame;
    } catch (error) {
      const message = error instanceof Error ? error.message : "the policy cannot be read";
      if (this.#unreadable !== message) onReload("failed", message);
      this.#unreadable = message;
      return false;
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
  return refuse("policy_unavailable", "this revision ran away too often; change the policy");
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

async function tested(load: Found["load"]): Promise<Tested> {
  const loaded = await load();
  return { artifact: loaded, tried: await selfTest(loaded) };
}

function isFolder(path: string): boolean {
  if (!existsSync(path)) throw new Error(`policy.path: ${path} does not exist`);
  return statSync(path).isDirectory();
}

function compileFiles({ path, rego, opaPath }: PolicySource, files: readonly SourceFile[]): Promise<Artifact> {
  if (!files.some((file) => file.path.endsWith(".rego"))) throw new Error(`policy.path: ${path} holds no .rego file`);
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
