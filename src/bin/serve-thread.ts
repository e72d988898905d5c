// The thread that `mcp-authz serve` supervises: the whole service.
import { parentPort, workerData } from "node:worker_threads";
import { findTool } from "../../scripts/lib/find-tool.ts";
import { loadConfig } from "../config.ts";
import { createGuard } from "../ops/heartbeat.ts";
import { createLog, writeStderr, type LogLevel } from "../ops/log.ts";
import type { FromThread, ThreadData, ToThread } from "../ops/supervisor.ts";
import { startServe } from "./start-serve.ts";

/** What `mcp-authz serve` hands over. */
export interface ServeData {
  readonly configFile: string;
  readonly level: LogLevel;
}

const { heartbeat, quarantined, restarts, remembered, data } = workerData as ThreadData<ServeData>;
const say = (message: FromThread) => parentPort?.postMessage(message);
const log = createLog(writeStderr, data.level, Date.now);

function fail(error: unknown): void {
  writeStderr(`mcp-authz serve: ${error instanceof Error ? error.message : "failed"}\n`);
  say({ type: "ended", code: 1 });
  parentPort?.close();
}

try {
  const reread = () => loadConfig(data.configFile, process.env).config;
  const serve = await startServe({
    config: reread(),
    reread,
    log,
    opaPath: findTool("opa"),
    guard: { attribute: () => {}, ...createGuard(heartbeat) },
    quarantined,
    restarts,
    onRevision: (revision) => say({ type: "revision", revision }),
    remembered,
    onRemember: (memory) => say({ type: "remember", memory }),
  });
  say({ type: "ready" });
  parentPort?.on("message", (message: ToThread) => {
    if (message.type === "reload") {
      serve
        .reload()
        .catch((error: unknown) =>
          log.error("reload_failed", { message: error instanceof Error ? error.message : "failed" }),
        );
      return;
    }
    serve.stop().then(() => {
      say({ type: "ended", code: 0 });
      parentPort?.close();
    }, fail);
  });
} catch (error) {
  fail(error);
}
