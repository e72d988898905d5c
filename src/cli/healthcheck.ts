// `mcp-authz healthcheck`: a probe for images without shell and curl. I/O: one GET.
import { EXIT, textOption, UsageError, type Command } from "./command.ts";

const DEFAULT_URL = "http://127.0.0.1:9002/readyz";
/** Below what orchestrators usually wait for a probe. */
const TIMEOUT_MS = 2000;

export const command: Command = {
  summary: "Ask a health endpoint: exit code 0 when it answers 200",
  usage: [
    "[--url URL]",
    "",
    `  --url URL           default ${DEFAULT_URL}`,
    "",
    "serve answers on listen.ops (9002), the broker on listen.brokerOps (9004): /readyz is whether it should get traffic,",
    "/healthz whether it lives. Redirects are not followed. Exit code 1 when the answer is another one, or late.",
  ].join("\n"),
  options: { url: { type: "string" } },
  positionals: { min: 0, max: 0 },
  async run(args) {
    const url = textOption(args, "url") ?? DEFAULT_URL;
    if (!/^https?:$/.test(URL.parse(url)?.protocol ?? ""))
      throw new UsageError(`--url must be an http or https URL, such as ${DEFAULT_URL}`);
    const fault = await probe(url);
    if (fault === null) return EXIT.ok;
    console.error(`${url} ${fault}`);
    return EXIT.failed;
  },
};

/** Null for 200, else what happened instead. */
async function probe(url: string): Promise<string | null> {
  try {
    const response = await fetch(url, { redirect: "manual", signal: AbortSignal.timeout(TIMEOUT_MS) });
    await response.body?.cancel();
    return response.status === 200 ? null : `answered ${response.status}`;
  } catch (error) {
    if (error instanceof Error && error.name === "TimeoutError") return `did not answer within ${TIMEOUT_MS / 1000} s`;
    const { cause } = error as { cause?: { code?: unknown } };
    return `cannot be reached (${typeof cause?.code === "string" ? cause.code : "failed"})`;
  }
}
