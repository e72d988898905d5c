// One call for `why` and `input`: its HTTP request, and its policy input. No I/O of its own.
import { hash } from "node:crypto";
import { createCheck, type CheckSettings } from "../authz/check.ts";
import { refuse } from "../authz/step.ts";
import type { Outcome } from "../authz/outcome.ts";
import type { PolicyInput, AuthzRequest } from "../authz/types.ts";
import type { Ports } from "../authz/ports.ts";
import { newCheckFacts, type CheckFacts } from "../authz/facts.ts";
import type { Config } from "../config/load.ts";
import { createAliases } from "../mcp/aliases.ts";
import type { Kind } from "../mcp/operation.ts";

/** One call as the command line names it. `input` and `why` take the same options. */
export interface CallSpec {
  readonly server: string;
  readonly kind: Kind;
  /** The tool or prompt, without its prefix, or the resource's URI. */
  readonly name: string;
  readonly args: unknown;
  readonly token: string;
}

/** Makes the HTTP request of a call, as a client of the 2025-11-25 revision sends it. */
export function requestOf(spec: CallSpec, config: Config): AuthzRequest {
  const message = { jsonrpc: "2.0", id: 1, ...operationOf(spec, config) };
  const headers = new Map([
    presentedHeader(spec.token, config),
    ["content-type", "application/json"],
    ["mcp-protocol-version", "2025-11-25"],
  ]);
  return {
    method: "POST",
    path: `/servers/${spec.server}/mcp`,
    query: null,
    host: new URL(config.publicOrigin).hostname,
    headers: { get: (name) => headers.get(name), repeated: () => false, names: () => headers.keys() },
    body: { kind: "bytes", bytes: Buffer.from(JSON.stringify(message)) },
    peer: "127.0.0.1",
  };
}

/** The header in which a caller with this token, or this key of the configuration, sends it. */
function presentedHeader(token: string, { identity }: Config): readonly [string, string] {
  const digest = hash("sha256", token);
  const key = identity.apiKeys.find(({ sha256 }) => sha256.includes(digest));
  if (key === undefined || key.bearer) return ["authorization", `Bearer ${token}`];
  if (key.header !== null) return [key.header, token];
  return ["authorization", `Basic ${Buffer.from(`${key.name}:${token}`).toString("base64")}`];
}

function operationOf({ server, kind, name, args }: CallSpec, { servers }: Config): object {
  if (kind === "resource") return { method: "resources/read", params: { uri: name } };
  if (kind === "prompt") return { method: "prompts/get", params: { name, arguments: args } };
  const shown = createAliases(servers[server]?.aliases ?? {}).shown(name);
  return { method: "tools/call", params: { name: shown ?? name, arguments: args } };
}

/** The part of serve's pipeline that runs before policy. */
export interface InputPipeline {
  readonly settings: CheckSettings;
  readonly identify: Ports["identify"];
  /** The time that policy sees, in milliseconds since the epoch. */
  readonly at: number;
  readonly identifyKey: Ports["identifyKey"];
}

export interface InputCapture {
  /** Null when the call is refused before policy is asked. */
  readonly input: PolicyInput | null;
  readonly outcome: Outcome;
  readonly facts: CheckFacts;
}

/** Runs the pipeline up to policy, and captures the policy input. */
export async function captureInput(
  { settings, identify, identifyKey, at }: InputPipeline,
  request: AuthzRequest,
  signal: AbortSignal,
): Promise<InputCapture> {
  let input: PolicyInput | null = null;
  const ports: Ports = {
    note: () => {},
    headerDropped: () => {},
    ...{ identify, identifyKey },
    decide: (seen) => {
      input = seen;
      return refuse("internal", "input only");
    },
    visible: () => refuse("internal"),
    fetchCredential: () => refuse("internal"),
    signWristband: () => refuse("internal"),
  };
  const facts = newCheckFacts("input", at);
  const outcome = await createCheck(settings, ports)(request, facts, signal);
  return { input, outcome, facts };
}
