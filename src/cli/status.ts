// `mcp-authz status`: how the servers behind a running broker are. I/O: one GET to the broker's operator listener.
import { setTimeout as delay } from "node:timers/promises";
import { statusText } from "../explain/status-text.ts";
import { statusUrlOf } from "../config/destinations.ts";
import { statusSchema, type BrokerStatus } from "../catalog/status.ts";
import { readCaFile } from "../files/ca.ts";
import { faultOf } from "../http/client.ts";
import { createFetch } from "../http/fetch-document.ts";
import { parseJson } from "../json/parse.ts";
import {
  CONFIG_USAGE,
  configPath,
  EXIT,
  loadWithWarnings,
  textOption,
  type Arguments,
  type Command,
} from "./command.ts";

/** As {@link EXIT}, in the words of this command. */
const CODES = { healthy: EXIT.ok, unhealthy: EXIT.failed, unknown: EXIT.usage } as const;
const LIMITS = { maxBytes: 8 * 1024 * 1024, timeoutMs: 5000 };
const WATCH_MS = 2000;
/** ECMA-48: cursor to the first place, and everything behind it erased. */
const CLEAR = "\u001b[H\u001b[J";

export const command: Command = {
  summary: "Say how the servers behind a running broker are: state, last error, entries, what was left out and why",
  usage: [
    "--config FILE [--url URL] [--ca-file FILE] [--json] [--watch]",
    "",
    CONFIG_USAGE,
    "  --url URL           the broker's /status; default listen.brokerOps of the configuration, or beside its catalog.url",
    "  --ca-file FILE      the CA of an https URL, PEM; default catalog.caFile, else those of the system",
    "  --json              for programs",
    "  --watch             ask again every 2 s, until Ctrl-C",
    "",
    "healthy: the last attempt to list it did. unhealthy: it failed; its old list stays for ten minutes. waiting: not listed yet.",
    "Exit code 0: all are healthy. 1: one is not. 2: the broker could not be asked, or the command line is wrong.",
  ].join("\n"),
  options: {
    config: { type: "string", short: "c" },
    url: { type: "string" },
    "ca-file": { type: "string" },
    json: { type: "boolean" },
    watch: { type: "boolean" },
  },
  positionals: { min: 0, max: 0 },
  async run(args) {
    const ask = asker(args);
    const isWatch = args.values["watch"] === true;
    for (;;) {
      const status = await ask();
      if (isWatch && process.stdout.isTTY) process.stdout.write(CLEAR);
      const code = print(status, args.values["json"] === true);
      if (!isWatch) return code;
      await delay(WATCH_MS);
    }
  },
};

function print(status: BrokerStatus | string, asJson: boolean): number {
  if (typeof status === "string") {
    console.error(`mcp-authz status: ${status}`);
    return CODES.unknown;
  }
  process.stdout.write(asJson ? `${JSON.stringify(status, null, 2)}\n` : statusText(status));
  return status.upstreams.every(({ state }) => state === "healthy") ? CODES.healthy : CODES.unhealthy;
}

type Ask = () => Promise<BrokerStatus | string>;

/** Asks for the status; a text says why it could not be had. */
function asker(args: Arguments): Ask {
  const config = loadWithWarnings(configPath(args));
  const caFile = textOption(args, "ca-file") ?? null;
  try {
    const url = textOption(args, "url") ?? statusUrlOf(config);
    const ca = caFile === null ? readCaFile("catalog.caFile", config.catalog.caFile) : readCaFile("--ca-file", caFile);
    return () => fetchStatus(url, ca);
  } catch (error) {
    const why = error instanceof Error ? error.message : "failed";
    return () => Promise.resolve(why);
  }
}

async function fetchStatus(url: string, ca: Buffer | null): Promise<BrokerStatus | string> {
  try {
    const { status, body } = await createFetch(ca, LIMITS)(url);
    if (status !== 200) return `${url} answered ${status}`;
    const read = statusSchema.safeParse(parseJson(body.toString("utf8")));
    return read.success ? read.data : `${url} is not the status of a broker of this version`;
  } catch (error) {
    return `${url} cannot be reached (${faultOf(error).message})`;
  }
}
