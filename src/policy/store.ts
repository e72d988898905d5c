import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { refuse, type Step } from "../authz/outcome.ts";
import type { PolicyInput } from "../authz/policy-input.ts";
import type { Decision, Visible } from "../authz/ports.ts";
import { artifact, readBundle, type Artifact } from "./artifact.ts";
import { compilePolicy } from "./compile.ts";
import { decide, visible, visibleByServer } from "./decision.ts";
import { createEvaluator, type Evaluator, type Guard } from "./evaluator.ts";
import { selfTest } from "./self-test.ts";
import { readSources, sourcesHash, type SourceFile } from "./sources.ts";

export interface PolicyOptions {
  /** A folder of sources, or a bundle. */
  readonly path: string;
  readonly rego: "v0" | "v1";
  readonly opaPath: string | null;
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
  let { hash, load } = look(options);
  let catalog: CatalogData | null = null;
  let evaluator: Evaluator = createEvaluator(await tested(load), catalog, options.guard);
  let failure: string | null = null;
  let unreadable: string | null = null;
  let timer: NodeJS.Timeout | undefined;
  let busy = false;
  let closed = false;

  async function reload(): Promise<void> {
    try {
      const loaded = await tested(load);
      if (closed) return;
      evaluator = createEvaluator(loaded, catalog, options.guard);
      failure = null;
      options.onReload("ok", `policy ${evaluator.revision} is live`);
    } catch (error) {
      if (closed) return;
      failure = error instanceof Error ? error.message : "failed";
      options.onReload("failed", failure);
    }
  }

  function changed(): boolean {
    try {
      const found = look(options);
      const wasAway = unreadable !== null;
      unreadable = null;
      if (found.hash === hash) {
        if (wasAway) options.onReload(failure === null ? "ok" : "failed", failure ?? "the policy is there again");
        return false;
      }
      ({ hash, load } = found);
      return true;
    } catch (error) {
      const message = error instanceof Error ? error.message : "the policy cannot be read";
      if (unreadable !== message) options.onReload("failed", message);
      unreadable = message;
      return false;
    }
  }

  async function poll(): Promise<void> {
    if (busy || closed) return;
    busy = true;
    if (changed()) await reload();
    busy = false;
  }

  const usable = () => (evaluator.revision === options.quarantined ? null : evaluator);
  return {
    decide(input) {
      const live = usable();
      return live === null ? quarantine() : decide(live, input);
    },
    visible(input, server, signal) {
      const live = usable();
      if (live === null) return quarantine();
      if (catalog === null) return refuse("catalog_unavailable", "no catalogue yet");
      if (server !== null || isSmall(catalog)) return visible(live, input);
      return visibleByServer(live, input, Object.keys(catalog.servers), signal);
    },
    setCatalog(next) {
      evaluator = evaluator.withCatalog(next);
      catalog = next;
    },
    revision: () => evaluator.revision,
    stale: () => unreadable ?? failure,
    poll,
    watch(everyMs) {
      timer = setInterval(() => void poll(), everyMs);
      timer.unref();
    },
    close() {
      closed = true;
      clearInterval(timer);
    },
  };
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

function look({ path, rego, opaPath }: Pick<PolicyOptions, "path" | "rego" | "opaPath">): Found {
  if (!isFolder(path)) {
    const bytes = readFileSync(path);
    return { hash: createHash("sha256").update(bytes).digest("hex"), load: async () => readBundle(bytes) };
  }
  const files = readSources(path);
  const hash = sourcesHash(files, rego);
  return { hash, load: async () => readCompiled(path, hash) ?? compileFiles(path, files, rego, opaPath) };
}

/**
 * The policy that stands at `policy.path` now, with its sources where it is a folder. For commands: what a running serve
 * has live may be older.
 * @throws {Error} whose message is for the author
 */
export async function loadPolicy(
  options: Pick<PolicyOptions, "path" | "rego" | "opaPath">,
): Promise<{ readonly artifact: Artifact; readonly files: readonly SourceFile[] | null }> {
  const loaded = await tested(look(options).load);
  return { artifact: loaded, files: isFolder(options.path) ? readSources(options.path) : null };
}

async function tested(load: Found["load"]): Promise<Artifact> {
  const loaded = await load();
  await selfTest(loaded);
  return loaded;
}

function isFolder(path: string): boolean {
  if (!existsSync(path)) throw new Error(`policy.path: ${path} does not exist`);
  return statSync(path).isDirectory();
}

function compileFiles(
  path: string,
  files: readonly SourceFile[],
  rego: "v0" | "v1",
  opaPath: string | null,
): Promise<Artifact> {
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
  const manifest = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as CompiledManifest;
  if (manifest.sources !== sources) return null;
  const loaded = artifact(readFileSync(join(folder, "policy.wasm")), readFileSync(join(folder, "data.json"), "utf8"));
  if (loaded.revision !== manifest.revision)
    throw new Error(`${folder} does not match its manifest: restore it, or delete the folder`);
  return loaded;
}
