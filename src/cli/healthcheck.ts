// `mcp-authz healthcheck`: a probe for images without shell and curl. I/O: one GET.
import { readCaFile } from "../files/ca.ts";
import { faultOf } from "../http/client.ts";
import { createFetch } from "../http/fetch-document.ts";
import { EXIT, textOption, UsageError, type Command } from "./command.ts";

const DEFAULT_URL = "http://127.0.0.1:9002/readyz";
/** Below what orchestrators usually wait for a probe. */
const TIMEOUT_MS = 2000;
/** Of a body that is not looked at. */
const MAX_BYTES = 1024 * 1024;

export const command: Command = {
  summary: "Ask a health endpoint: exit code 0 when it answers 200",
  usage: [
    "[--url URL] [--ca-file FILE]",
    "",
    `  --url URL           default ${DEFAULT_URL}`,
    "  --ca-file FILE      the CA of an https URL, PEM; without it those of the system",
    "",
    "serve answers on listen.ops (9002), the broker on listen.brokerOps (9004): /readyz is whether it should get traffic,",
    "/healthz whether it lives. Redirects are not followed. Exit code 1 when the answer is another one, or late.",
  ].join("\n"),
  options: { url: { type: "string" }, "ca-file": { type: "string" } },
  positionals: { min: 0, max: 0 },
  async run(args) {
    const url = textOption(args, "url") ?? DEFAULT_URL;
    if (!/^https?:$/.test(URL.parse(url)?.protocol ?? ""))
      throw new UsageError(`--url must be an http or https URL, such as ${DEFAULT_URL}`);
    const fault = await probe(url, readCaFile("--ca-file", textOption(args, "ca-file") ?? null));
    if (fault === null) return EXIT.ok;
    console.error(`${url} ${fault}`);
    return EXIT.failed;
  },
};

/** Null for 200, else what happened instead. */
async function probe(url: string, ca: Buffer | null): Promise<string | null> {
  try {
    const { status } = await createFetch(ca, { maxBytes: MAX_BYTES, timeoutMs: TIMEOUT_MS })(url);
    return status === 200 ? null : `answered ${status}`;
  } catch (error) {
    const fault = faultOf(error);
    if (fault.code === "timeout") return `did not answer within ${TIMEOUT_MS / 1000} s`;
    return `cannot be reached (${fault.message})`;
  }
}
