// Renders the chart with helm, and lays the files of a rendered pod out as kubelet would. I/O: helm, files.
import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parseAllDocuments } from "yaml";
import { goProgram } from "../../tools/lib/go-programs.ts";
import { makeCa, makeLeaf } from "../fakes/certificates.ts";

export const CHART = resolve(import.meta.dirname, "../../deploy/helm/mcp-authz");
export const EXAMPLES = ["minimal", "production", "istio", "envoy-gateway"] as const;
export const exampleFile = (name: string) => join(CHART, "examples", `${name}.yaml`);

/** A Kubernetes object, as loosely as the tests read it. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: Readonly<Record<string, unknown>>;
}

export interface Rendered {
  /** What helm printed: manifests. */
  readonly text: string;
  /** What it said instead; empty when it rendered. */
  readonly error: string;
}

/** `helm template` as release `mcp-authz` in namespace `mcp`. */
export function render(...args: readonly string[]): Rendered {
  return renderAs("mcp-authz", ...args);
}

export function renderAs(release: string, ...args: readonly string[]): Rendered {
  const command = ["template", release, CHART, "--namespace", "mcp", ...args];
  const { status, stdout, stderr } = spawnSync(goProgram("helm"), command, { encoding: "utf8" });
  return status === 0 ? { text: stdout, error: "" } : { text: "", error: stderr };
}

/** The objects of an example. @throws when helm refuses it */
export function example(name: string, ...args: readonly string[]): Manifest[] {
  const { text, error } = render("-f", exampleFile(name), ...args);
  if (error !== "") throw new Error(error);
  return manifests(text);
}

export function manifests(text: string): Manifest[] {
  return parseAllDocuments(text)
    .map((document) => document.toJS() as Manifest | null)
    .filter((object) => object !== null);
}

export function find(objects: readonly Manifest[], kind: string, name: string): Manifest {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
  if (found === undefined) throw new Error(`there is no ${kind} ${name}`);
  return found;
}

interface Item {
  readonly key: string;
  readonly path: string;
}
interface Source {
  readonly configMap?: { readonly name: string; readonly items: readonly Item[] };
  readonly secret?: { readonly name: string; readonly items: readonly Item[] };
  readonly serviceAccountToken?: { readonly path: string };
}
interface PodSpec {
  readonly volumes: readonly { readonly name: string; readonly projected?: { readonly sources: readonly Source[] } }[];
}

export function podSpec(objects: readonly Manifest[], part: "serve" | "broker"): PodSpec & Record<string, unknown> {
  const { spec } = find(objects, "Deployment", `mcp-authz-${part}`) as unknown as {
    readonly spec: { readonly template: { readonly spec: PodSpec & Record<string, unknown> } };
  };
  return spec.template.spec;
}

/**
 * Writes below `folder` what the pod finds below /etc/mcp-authz, with contents of ours for Secrets.
 * @returns the path of mcp-authz.yaml
 */
export function layOut(objects: readonly Manifest[], part: "serve" | "broker", folder: string): string {
  const volume = podSpec(objects, part).volumes.find(({ name }) => name === "files");
  for (const { configMap, secret, serviceAccountToken } of volume?.projected?.sources ?? []) {
    const own = objects.find(({ kind, metadata }) => kind === "ConfigMap" && metadata.name === configMap?.name);
    for (const { key, path } of (configMap ?? secret)?.items ?? []) write(folder, path, own?.data?.[key]);
    if (serviceAccountToken !== undefined) write(folder, serviceAccountToken.path, "a-token");
  }
  return join(folder, "mcp-authz.yaml");
}

function write(folder: string, path: string, content: string | undefined): void {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  const written = content ?? contentOf(folder, path);
  if (written !== null) writeFileSync(file, written, { mode: 0o600 });
}

/** What somebody would have put into a Secret or ConfigMap under this name. */
function contentOf(folder: string, path: string): string | Buffer | null {
  if (path.startsWith("tls/") || path.startsWith("ca/")) return certificates(folder, path);
  if (path.endsWith(".pem"))
    return execFileSync("openssl", ["ecparam", "-name", "prime256v1", "-genkey", "-noout"], {
      stdio: ["ignore", "pipe", "ignore"],
    });
  if (path.startsWith("sessions/")) return randomBytes(32);
  return path.endsWith(".jsonl") ? "" : "a-secret";
}

/** One authority for each folder, and one certificate of it. */
function certificates(folder: string, path: string): Buffer {
  const work = join(folder, "made", dirname(path).replaceAll("/", "-"));
  mkdirSync(work, { recursive: true });
  const ca = made.get(work) ?? makeCa(work, "ca");
  made.set(work, ca);
  const leaf = leaves.get(work) ?? makeLeaf(work, { name: "leaf", san: "DNS:mcp-authz.example.com", ca });
  leaves.set(work, leaf);
  if (path.endsWith("ca.crt")) return ca.cert;
  return path.endsWith(".key") ? leaf.key : leaf.cert;
}

const made = new Map<string, ReturnType<typeof makeCa>>();
const leaves = new Map<string, ReturnType<typeof makeLeaf>>();
