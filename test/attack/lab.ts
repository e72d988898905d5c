// The gateway under attack: the lab of the end-to-end tests with hostile servers beside the demo's, and what an attack test
// asks of it. The demo's server is behind the broker here, so that a call passes Envoy, serve, the broker and a server.
import { mkdtempSync, cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parse, stringify } from "yaml";
import { reasonOf, type Reply } from "../e2e/client.ts";
import { startLab, type Lab } from "../../demo/lab.ts";
import { freePorts, type Ports } from "../../demo/ports.ts";
import { jsonLines } from "../../demo/lab-interface.ts";
import { memoryLimits } from "./settings.ts";

export interface AttackLabOptions {
  /** Servers beside "demo", as in the configuration. */
  readonly servers?: Readonly<Record<string, object>>;
  /** Grants of the group "engineering" (alice and carol) beside the demo's: server, kind, names. */
  readonly grants?: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
  /** Changes the demo's policy. */
  readonly rego?: (text: string) => string;
  /** Further changes to the configuration. */
  readonly config?: (config: Record<string, unknown>) => void;
  readonly world?: boolean;
}

export interface AttackLab extends Lab {
  readonly ports: Ports;
  /** `/readyz` of serve or the broker. */
  ready(name: "serve" | "broker"): Promise<Readiness>;
  /**
   * Resolves when serve has a catalogue, which it asks for once a second after its start, and Envoy asks serve again, whose
   * health it looks at once a second; or after a while without.
   */
  listable(): Promise<void>;
  /** The audit log so far. */
  audit(): Record<string, unknown>[];
}

export interface Readiness {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

const DEMO_POLICY = resolve(import.meta.dirname, "../../policies/demo");

/** V8's share of a container's memory: under a memory cgroup, which this lab lacks, Node takes half of the limit by itself. */
function heapFlag(mebibytes: number): Readonly<Record<string, string>> {
  return { NODE_OPTIONS: `--max-old-space-size=${Math.floor(mebibytes / 2)}` };
}

export async function openAttackLab(options: AttackLabOptions = {}): Promise<AttackLab> {
  const folder = mkdtempSync(join(tmpdir(), "mcp-authz-attack-"));
  const ports = await freePorts();
  const limits = memoryLimits();
  const discard = () => rmSync(folder, { recursive: true, force: true });
  const starting = startLab({
    folder,
    ports,
    policyFolder: writePolicy(folder, options),
    world: options.world === true,
    progress: () => {},
    serveEnv: heapFlag(limits.serve),
    brokerEnv: heapFlag(limits.broker),
    envoyConcurrency: 2, // as in docker-compose.yml
    config: (config) => {
      const servers = config["servers"] as Record<string, object>;
      servers["demo"] = { ...servers["demo"], callRouting: "broker" };
      Object.assign(servers, options.servers);
      options.config?.(config);
    },
  });
  const lab = await starting.catch((error: unknown) => {
    discard();
    throw error;
  });
  const ready = (name: "serve" | "broker") => readiness(name === "serve" ? ports.ops : ports.brokerOps);
  return {
    ...lab,
    ports,
    ready,
    async listable() {
      for (let tries = 0; tries < 30; tries += 1) {
        const { catalog } = (await ready("serve")).body as { catalog?: { ageSeconds: number | null } };
        const document = await fetch(`${lab.gateway}/.well-known/oauth-protected-resource`);
        await document.text();
        if (typeof catalog?.ageSeconds === "number" && document.status === 200) return;
        await delay(200);
      }
    },
    audit: () => jsonLines(readFileSync(lab.auditFile, "utf8")),
    async stop() {
      await lab.stop();
      discard();
    },
  };
}

/** What an answer was, in short: its status, and the reason of a refusal or "error". */
export function told(reply: Reply): string {
  const reason = reasonOf(reply);
  const word = typeof reason === "string" ? reason : reason === undefined ? "" : "error";
  return `${reply.status} ${word}`.trim();
}

function writePolicy(folder: string, { grants, rego }: AttackLabOptions): string {
  const policies = join(folder, "policies");
  cpSync(DEMO_POLICY, policies, { recursive: true });
  const dataFile = join(policies, "data.yaml");
  const data = parse(readFileSync(dataFile, "utf8")) as { grants: { engineering: object } };
  Object.assign(data.grants.engineering, grants);
  writeFileSync(dataFile, stringify(data, { aliasDuplicateObjects: false }));
  const policyFile = join(policies, "policy.rego");
  if (rego !== undefined) writeFileSync(policyFile, rego(readFileSync(policyFile, "utf8")));
  return policies;
}

async function readiness(port: number): Promise<Readiness> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(5000) });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  } catch (error) {
    return { status: 0, body: { error: error instanceof Error ? error.name : "failed" } };
  }
}
