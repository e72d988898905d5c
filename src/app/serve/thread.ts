// The serving thread that `mcp-authz serve` supervises: the whole service. Its code is loaded when the thread is made; the
// service starts with the supervisor's `start` message. I/O.
import { parentPort, workerData } from "node:worker_threads";
import { createConfigSource } from "../config-source.ts";
import type { Config } from "../../config/load.ts";
import { createStderrLog, writeStderr, type LogLevel } from "../../ops/log.ts";
import type { ReloadCause } from "../../ops/reload.ts";
import type { FromThread, Handover, ToThread } from "../../ops/supervisor/messages.ts";
import type { LoadedPolicy } from "../../policy/load.ts";
import { findOpa } from "../../policy/opa.ts";
import { startServe, type Serve } from "./serve.ts";
import { createInOrder, createVoter } from "./worker.ts";

/** The data that `mcp-authz serve` passes to the thread. */
export interface ServeData {
  readonly configFile: string;
  readonly level: LogLevel;
}

const { configFile, level } = workerData as ServeData;
const tell = (message: FromThread<LoadedPolicy>) => parentPort?.postMessage(message);
const log = createStderrLog(level);

function fail(error: unknown): void {
  writeStderr(`mcp-authz serve: ${error instanceof Error ? error.message : "failed"}\n`);
  tell({ type: "ended", code: 1 });
  parentPort?.close();
}

const source = createConfigSource(configFile, process.env);
const reread = source.read;

/** The configuration when this thread was made, then that which was put in force; null if it could not be read. */
let earlier = attempt(reread);

function attempt<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null; // the start reads it again, and reports the error
  }
}

/** Reads the configuration. One that is just being edited must not prevent a spare thread from taking over. */
function configFor({ restarts }: Handover<LoadedPolicy>): Config {
  try {
    return reread();
  } catch (error) {
    if (restarts === 0 || earlier === null) throw error;
    const message = error instanceof Error ? error.message : "failed";
    log.error("reload_failed", { what: "configuration", message, live: "what was read before" });
    return earlier;
  }
}

async function start(handover: Handover<LoadedPolicy>): Promise<Serve> {
  const config = configFor(handover);
  isOneOfMany = handover.worker !== null;
  const serve = await startServe({ config, reread, source, log, findOpa, handover, tell });
  tell({ type: "ready", ports: { authz: serve.authzPort, authzen: serve.authzenPort } });
  return serve;
}

/** @param round in which several workers take what they read, or none does */
async function reload(serve: Serve, cause: ReloadCause, round: number): Promise<void> {
  try {
    await serve.reload(cause, isOneOfMany ? voter.agree(round) : undefined);
  } catch (error) {
    log.error("reload_failed", { message: error instanceof Error ? error.message : "failed" });
  }
}

async function stop(serve: Serve): Promise<void> {
  await serve.stop();
  tell({ type: "ended", code: 0 });
  parentPort?.close();
}

const voter = createVoter(tell);
let isOneOfMany = false;
const reloadInOrder = createInOrder(reload);
let serving: Promise<Serve> | null = null;
parentPort?.on("message", (message: ToThread<LoadedPolicy>) => {
  if (message.type === "start") {
    serving ??= start(message.handover);
    serving.catch(fail);
    return;
  }
  if (message.type === "reread") earlier = attempt(reread) ?? earlier;
  else if (message.type === "verdict") voter.verdict(message);
  else serving?.then((serve) => act(serve, message)).catch(fail);
});

async function act(serve: Serve, message: Exclude<ToThread<LoadedPolicy>, { type: "start" | "reread" | "verdict" }>) {
  if (message.type === "suspend") return serve.suspend(message.suspension);
  if (message.type === "policy") return serve.adopt(message.policy);
  if (message.type === "quarantine") return serve.quarantine(message.revision, message.rules);
  if (message.type === "ask") return tell({ type: "answer", id: message.id, answer: await serve.answer(message) });
  if (message.type !== "reload") return stop(serve);
  return reloadInOrder(serve, message.cause, message.round);
}
