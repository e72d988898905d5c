// What a client did at a server, step by step.
import type { Asks } from "./servers.ts";

/** A client's way through one server. */
export interface Visit {
  readonly url: string;
  /** Sent as a bearer token; null: none. */
  readonly token: string | null;
  readonly asks: Asks;
}

export const STEPS = ["list", "call", "prompt", "resource", "ask"] as const;
export type Step = (typeof STEPS)[number];

/** What each step said; a failed one begins with "failed:". */
export type Said = Partial<Record<Step, string>> & {
  /** One for each of `asks.calls`; the result of a tool that failed begins with "error:". */
  readonly calls?: readonly string[];
};

const STEP_MS = 20_000;
/** Of a call that is refused. */
export const REFUSED_MS = 10_000;
export const NO_ANSWER = "failed: no answer in time";

/** What came of it, or why it failed, within its time. */
export async function settled(step: () => Promise<string>, ms = STEP_MS): Promise<string> {
  const late = new Promise<string>((done) => setTimeout(done, ms, NO_ANSWER).unref());
  const failed = (error: unknown) => `failed: ${error instanceof Error ? error.message.slice(0, 300) : String(error)}`;
  return Promise.race([step().catch(failed), late]);
}

/** Text of contents, whatever the SDK's types call them. */
export function textsOf(contents: unknown): string {
  const list = Array.isArray(contents) ? (contents as unknown[]) : [contents];
  return list.map((each) => String((each as { text?: unknown } | null)?.text ?? "")).join(" ");
}

/** A person who types Ada everywhere. */
export function personsAnswer(params: unknown): { action: "accept"; content: Record<string, string> } {
  const schema = (params as { requestedSchema?: { properties?: object } }).requestedSchema;
  return {
    action: "accept",
    content: Object.fromEntries(Object.keys(schema?.properties ?? {}).map((name) => [name, "Ada"])),
  };
}
