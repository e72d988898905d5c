import { Worker } from "node:worker_threads";
import type { PolicyInput } from "../authz/types.ts";
import type { Artifact } from "./artifact.ts";
import { decide, visible } from "./decision.ts";
import { createEvaluator, UNWATCHED } from "./evaluator.ts";

const SELF_TEST_MS = 10_000;

/** What the self-test found in a policy that passed it. */
export interface Tried {
  /** It allows a caller of whom nothing but a name is known, with a tool that nobody has: everybody, everything. */
  readonly allowsStrangers: boolean;
}

/** For people: what {@link Tried.allowsStrangers} means, and what to do if that is no purpose. */
export const OPEN_TO_ALL =
  "the policy allows every caller with a token every tool: if that is not the purpose, ask in `allow` for something of the caller and of the operation";

/**
 * Tries a policy before it goes live, on a thread of its own: one that runs away is stopped there, and never meets the
 * thread that serves.
 * @throws {Error} that says what is wrong with the policy
 */
export async function selfTest(artifact: Artifact, timeoutMs = SELF_TEST_MS): Promise<Tried> {
  const worker = new Worker(new URL("self-test-worker.ts", import.meta.url), { workerData: artifact });
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise<Tried>((resolve, reject) => {
      const fail = () => reject(new Error(`the self-test failed: no answer within ${timeoutMs} ms`));
      timer = setTimeout(fail, timeoutMs);
      worker.once("error", reject);
      worker.once("message", resolve);
      worker.once("exit", () => reject(new Error("the self-test failed: no answer")));
    });
  } finally {
    clearTimeout(timer);
    await worker.terminate();
  }
}

const STRANGER: PolicyInput = {
  identity: { issuer: "self-test", subject: "self-test", username: null, groups: [], scopes: [], claims: {} },
  mcp: { method: "tools/call", server: "self-test", kind: "tool", name: "self-test", arguments: {}, version: "1" },
  request: { host: "self-test", path: "/mcp", sourceIp: "192.0.2.1", time: 0, headers: {} },
};
const NOBODY = { ...STRANGER, identity: { ...STRANGER.identity, subject: "" } };
const CATALOG = { servers: { "self-test": { tools: ["self-test"], prompts: [], resources: [] } } };

/**
 * What a policy must be able to do: refuse a request without anything in it and one of nobody, and answer for a
 * stranger, whatever the answer: who lets everybody in may mean it.
 * @throws {Error} that says what it could not
 */
export function tryOut(artifact: Artifact): Tried {
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
  return { allowsStrangers: stranger.ok && stranger.value.allow };
}
