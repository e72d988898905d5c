// Composes the policy store and the catalogue client of serve, with their metrics and log events. I/O through both.
import { randomUUID } from "node:crypto";
import { catalogUrlOf } from "../../config/destinations.ts";
import { createCatalogClient } from "../../catalog/client.ts";
import type { CatalogNames, MirroringTools } from "../../catalog/schema.ts";
import { createHttpClient } from "../../http/client.ts";
import type { Log } from "../../ops/log.ts";
import type { Metrics } from "../../ops/metrics/serve.ts";
import type { FromThread } from "../../ops/supervisor/messages.ts";
import type { Guard } from "../../policy/evaluator.ts";
import type { LoadedPolicy } from "../../policy/load.ts";
import { keepRevision } from "../../policy/revisions.ts";
import { createPolicyStore, type PolicyOptions, type PolicyStore } from "../../policy/store.ts";
import { signCatalogToken } from "../../catalog/token.ts";
import { listedNames, type RevisedNames } from "../../wristband/compact-names.ts";
import type { SigningKey } from "../../wristband/keys.ts";
import { readCaFile } from "../../files/ca.ts";
import { errorCode } from "../../files/read-error.ts";
import { policyError } from "../check-files.ts";
import { partsOf } from "../../http/url.ts";
import type { ServeOptions } from "./options.ts";
import { isFirst } from "./worker.ts";

/** Opens the policy store. @throws {Error} if no policy can be loaded */
export async function startPolicy(options: ServeOptions, guard: Guard, metrics: Metrics): Promise<PolicyStore> {
  const { config, log, handover } = options;
  const keep = isFirst(handover.worker) ? revisionKeeper(config, log) : () => {};
  const store: PolicyStore = await openStore({
    ...config.policy,
    findOpa: options.findOpa,
    guard,
    ...{ quarantined: handover.quarantined, hostQuarantined: handover.hostQuarantined },
    kept: handover.policy,
    onAdopted: () => metrics.policyRevision(store.revision()),
    onReload: (result, message) => {
      metrics.policyReload(result);
      if (result === "ok") {
        metrics.policyRevision(store.revision());
        if (!store.quarantined() && !store.hostQuarantined()) tellLive(store, options);
        log.info("policy_live", { revision: store.revision() });
        keep(store.live());
        warnOfOpenness(store, log);
      } else log.error("policy_not_reloaded", { message, live: store.revision() });
    },
  });
  metrics.policyRevision(store.revision());
  keep(store.live());
  if (handover.policy === null) tellLive(store, options);
  warnOfOpenness(store, log);
  return store;
}

/** Keeps each policy that goes live, one after the other, where the configuration names a folder; what fails is told, and nothing waits for it. */
function revisionKeeper({ policy }: ServeOptions["config"], log: Log): (live: LoadedPolicy) => void {
  const { revisions: folder } = policy;
  let before: Promise<void> = Promise.resolve();
  return ({ artifact, rules }) => {
    if (folder === null) return;
    before = before
      .then(() => keepRevision(folder, { artifact, rules, settings: policy }))
      .catch((error: unknown) =>
        log.warn("policy_revision_not_kept", { revision: artifact.revision, folder, code: errorCode(error, "failed") }),
      );
  };
}

/** Sends the live policy to the supervisor, for the next thread and for its count of runaways by revision. */
function tellLive(store: PolicyStore, { tell }: ServeOptions): void {
  const { artifact, ...rest } = store.live();
  // A copy between threads takes all of the memory that a view is of.
  const policy: LoadedPolicy = { ...rest, artifact: { ...artifact, wasm: new Uint8Array(artifact.wasm) } };
  tell({ type: "policy", revision: artifact.revision, policy });
}

/** Makes the message with a document for the next thread; without bytes it confirms the last one. */
export function documentOf(
  name: string,
  { bytes, tag }: { readonly bytes: Uint8Array | null; readonly tag: string },
): FromThread<never> {
  return { type: "document", name, bytes: bytes === null ? null : new Uint8Array(bytes), tag };
}

function warnOfOpenness(store: PolicyStore, log: Log): void {
  const { open } = store.live();
  if (open !== null) log.warn("policy_open_to_all", { revision: store.revision(), message: open });
  for (const message of store.live().findings) log.warn("policy_finding", { revision: store.revision(), message });
}

async function openStore(options: PolicyOptions): Promise<PolicyStore> {
  try {
    return await createPolicyStore(options);
  } catch (error) {
    throw policyError(options.path, error);
  }
}

/** The broker may start this much later than serve without a warning. */
const EXPECTED_MS = 30_000;

function catalogReport(log: Log): (fault: string | null) => void {
  let last: string | null = null;
  let isExpected = true;
  const timer = setTimeout(() => {
    isExpected = false;
    if (last !== null) log.warn("catalog_not_read", { message: last });
  }, EXPECTED_MS);
  timer.unref();
  return (fault) => {
    last = fault;
    if (fault === null) {
      clearTimeout(timer);
      isExpected = false;
      log.info("catalog_read", {});
    } else if (isExpected) log.info("catalog_awaited", { message: fault });
    else log.warn("catalog_not_read", { message: fault });
  };
}

/** What serve has of the catalogue now, beside its policy. */
export interface ListedNames {
  /** For wristbands in short form. */
  find(server: string): RevisedNames | undefined;
  /** True for a tool of a direct server that has an argument with `x-mcp-header`. */
  readonly mirrorsArguments: (server: string, tool: string) => boolean;
  set(read: { readonly catalog: CatalogNames; readonly mirroring: MirroringTools } | null): void;
}

export function createListedNames(): ListedNames {
  let find = listedNames({});
  let mirroring: MirroringTools = new Map();
  return {
    find: (server) => find(server),
    mirrorsArguments: (server, tool) => mirroring.get(server)?.has(tool) === true,
    set(read) {
      find = listedNames(read?.catalog.servers ?? {});
      mirroring = read?.mirroring ?? new Map<string, ReadonlySet<string>>();
    },
  };
}

/** Makes the client that brings the broker's catalogue to the policy and to the signer of wristbands. */
export function catalogFor(
  { config, log, handover, tell }: ServeOptions,
  keys: () => readonly SigningKey[],
  { policy, listed }: { readonly policy: PolicyStore; readonly listed: ListedNames },
) {
  const { origin, path } = partsOf(catalogUrlOf(config));
  const ca = readCaFile("catalog.caFile", config.catalog.caFile);
  const instance = randomUUID();
  return createCatalogClient({
    http: createHttpClient({ origin, ca, maxConnections: 1 }),
    path,
    token: () => {
      const [key] = keys();
      if (key === undefined) return "";
      return signCatalogToken({ ...config.wristband, instance, policy: policy.revision() }, key, Date.now());
    },
    servers: new Set(Object.keys(config.servers)),
    maxNameBytes: config.limits.serverNameBytes,
    onChange(read) {
      policy.setCatalog(read?.catalog ?? null);
      listed.set(read);
    },
    onFault: catalogReport(log),
    onFetched: (bytes, tag) => tell(documentOf("catalog", { bytes, tag })),
    kept: handover.documents["catalog"] ?? null,
    monotonic: () => performance.now(),
  });
}
