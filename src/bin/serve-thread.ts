// The thread that `mcp-authz serve` supervises: the whole service. Its code is loaded when the thread is made; the service
// begins with the supervisor's `start`.
import { parentPort, workerData } from "node:worker_threads";
import { findTool } from "../../scripts/lib/find-tool.ts";
import { loadConfig } from "../config.ts";
import { createLog, writeStderr, type LogLevel } from "../ops/log.ts";
import type { FromThread, Handover, ToThread } from "../ops/supervisor.ts";
import type { KeptPolicy } from "../policy/store.ts";
import { startServe, type Serve } from "./start-serve.ts";

/** What `mcp-authz serve` hands over. */
export interface ServeData {
  readonly configFile: string;
  readonly level: LogLevel;
}

const { configFile, level } = workerData as ServeData;
const tell = (message: FromThread<KeptPolicy>) => parentPort?.postMessage(message);
const log = createLog(writeStderr, level, Date.now);

function fail(error: unknown): void {
  writeStderr(`mcp-authz serve: ${error instanceof Error ? error.message : "failed"}\n`);
  tell({ type: "ended", code: 1 });
  parentPort?.close();
}

async function start(handover: Handover<KeptPolicy>): Promise<Serve> {
  const reread = () => loadConfig(configFile, process.env).config;
  const serve = await startServe({ config: reread(), reread, log, opaPath: findTool("opa"), handover, tell });
  tell({ type: "ready" });
  return serve;
}

async function reload(serve: Serve): Promise<void> {
  try {
    await serve.reload();
  } catch (error) {
    log.error("reload_failed", { message: error instanceof Error ? error.message : "failed" });
  }
}

async function stop(serve: Serve): Promise<void> {
  await serve.stop();
  tell({ type: "ended", code: 0 });
  parentPort?.close();
}

let serving: Promise<Serve> | null = null;
parentPort?.on("message", (message: ToThread<KeptPolicy>) => {
  if (message.type === "start") {
    serving ??= start(message.handover);
    serving.catch(fail);
    return;
  }
  serving
    ?.then((serve) => {
      if (message.type === "suspend") serve.suspend(message.suspension);
      return message.type === "reload" ? reload(serve) : message.type === "terminate" ? stop(serve) : undefined;
    })
    .catch(fail);
});
