// One call for `why` and `input`: its HTTP request, and its policy input. No I/O of its own.
import { hash } from "node:crypto";
import { createCheck, type CheckSettings } from "../authz/check.ts";
import { refuse } from "../authz/step.ts";
import type { Outcome } from "../authz/outcome.ts";
import type { PolicyInput, AuthzRequest } from "../authz/types.ts";
import type { Ports } from "../authz/ports.ts";
import { newCheckFacts, type CheckFacts } from "../authz/facts.ts";
import type { Config } from "../config/load.ts";
import { checkSettings } from "../config/settings.ts";
import type { Kind } from "../mcp/operation.ts";

/** One call as the command line names it. `input` and `why` take the same options. */
export interface CallSpec {
  readonly server: string;
  /** Where the call is made: `mcp`, the name of a virtual server, or null for the server's own endpoint. */
  readonly endpoint: string | null;
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
    path: pathOf(spec),
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

/** The path of the endpoint at which the call is made. */
export function pathOf({ server, endpoint }: CallSpec): string {
  return endpoint === "mcp" ? "/mcp" : `/servers/${endpoint ?? server}/mcp`;
}

function operationOf(spec: CallSpec, config: Config): object {
  const { kind, args } = spec;
  const name = shownName(spec, config);
  if (kind === "resource") return { method: "resources/read", params: { uri: name } };
  return { method: kind === "prompt" ? "prompts/get" : "tools/call", params: { name, arguments: args } };
}

/** The name that a client gives there. One that the endpoint does not show is asked for as it is, and refused. */
function shownName({ server, endpoint, kind, name }: CallSpec, config: Config): string {
  const names = checkSettings(config).resolver.namesOf(server);
  return (endpoint === null ? names.shownName(kind, name) : names.publicName(kind, name)) ?? name;
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
    mirrorsArguments: () => false,
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
