// Tries a policy before it goes live: it must refuse what is empty, and answer at all.
import type { PolicyInput } from "../authz/types.ts";
import type { Artifact } from "./artifact.ts";
import { decide, visible } from "./decision.ts";
import { readAnswer } from "./envoy/answer.ts";
import { hostInput } from "./envoy/input.ts";
import { createEvaluator, UNWATCHED, type Evaluator } from "./evaluator.ts";
import { onThread } from "./thread.ts";

const SELF_TEST_MS = 10_000;

/** The findings of the self-test in a policy that passed it. */
export interface SelfTestResult {
  /** The policy allows a caller of whom only a name is known, with a tool that no server has: every caller, every tool. */
  readonly allowsStrangers: boolean;
  /** The rule of `policy.envoy` allows a DELETE without any header of a path that nobody has. */
  readonly allowsAnyPath?: boolean;
}

/** For people: what {@link SelfTestResult.allowsStrangers} means, and what to do if that is no purpose. */
export const OPEN_TO_ALL =
  "the policy allows every caller with a token every tool: if that is not the purpose, ask in `allow` for something of the caller and of the operation";

/**
 * Runs the self-test on a thread of its own: a policy that runs away is stopped there, and never reaches the serving thread.
 * @throws {Error} that says what is wrong with the policy
 */
export async function selfTest(artifact: Artifact, timeoutMs = SELF_TEST_MS): Promise<SelfTestResult> {
  const result = await onThread<SelfTestResult>(new URL("self-test-worker.ts", import.meta.url), artifact, timeoutMs);
  if (result.kind === "answer") return result.value;
  if (result.kind === "late") throw new Error(`the self-test failed: no answer within ${timeoutMs} ms`);
  throw result.error instanceof Error ? result.error : new Error("the self-test failed");
}

const STRANGER: PolicyInput = {
  identity: {
    ...{ issuer: "self-test", subject: "self-test", username: null, groups: [], scopes: [], claims: {} },
    ...{ kind: "user", method: "jwt", amr: [], acr: null, auth_time: null },
  },
  mcp: { method: "tools/call", server: "self-test", kind: "tool", name: "self-test", arguments: {}, version: "1" },
  request: { host: "self-test", path: "/mcp", sourceIp: "192.0.2.1", time: 0, headers: {} },
};
const NOBODY = { ...STRANGER, identity: { ...STRANGER.identity, subject: "" } };
const CATALOG = { servers: { "self-test": { tools: ["self-test"], prompts: [], resources: [] } } };

/**
 * A policy must refuse an empty request and one without a subject, and answer for an unknown caller: allow or deny, as an
 * open policy may be meant.
 * @throws {Error} that says which of these failed
 */
export function tryOut(artifact: Artifact): SelfTestResult {
  const evaluator = createEvaluator(artifact, CATALOG, UNWATCHED);
  for (const input of [{} as PolicyInput, NOBODY]) {
    const decision = decide(evaluator, input);
    if (!decision.ok) throw new Error(`the self-test failed: ${decision.detail ?? decision.reason}`);
    if (decision.value.allow) throw new Error("the self-test failed: the policy does not refuse an empty request");
  }
  const asked = { ...STRANGER, mcp: { ...STRANGER.mcp, method: "tools/list", server: null, name: null } };
  const stranger = decide(evaluator, STRANGER);
  for (const answer of [stranger, visible(evaluator, asked)]) {
    if (!answer.ok) throw new Error(`the self-test failed: ${answer.detail ?? answer.reason}`);
  }
  return { allowsStrangers: stranger.ok && stranger.value.allow, ...tryHost(artifact, evaluator) };
}

const NO_HEADERS = { get: () => undefined, repeated: () => false, names: () => [] };

/** The rule of `policy.envoy` must answer, or be undefined: then the path is refused. @throws {Error} for any other answer */
function tryHost({ entrypoint = null }: Artifact, evaluator: Evaluator): Pick<SelfTestResult, "allowsAnyPath"> {
  if (entrypoint === null) return {};
  const http = { method: "DELETE", path: "/self-test", query: null, host: "self-test" };
  const request = { ...http, headers: NO_HEADERS, body: NO_BODY, peer: "192.0.2.1", attributes: () => ({}) };
  const asked = { request, caller: null, described: STRANGER.request, hidden: new Set<string>() };
  const input = hostInput(asked, false);
  const result = input.ok ? evaluator.evaluateHost(input.value) : undefined;
  if (result === undefined) return { allowsAnyPath: false };
  const answer = readAnswer(result, "");
  if (!answer.ok) throw new Error(`the self-test failed: ${entrypoint.replaceAll("/", ".")}: ${answer.detail ?? ""}`);
  return { allowsAnyPath: answer.value.allow };
}

const NO_BODY = { kind: "none" } as const;
