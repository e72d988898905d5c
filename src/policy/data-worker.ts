// The thread that reads data: a megabyte of YAML takes a second, which the serving thread has not.
import { parentPort, workerData } from "node:worker_threads";
import { readData, type SourceFile } from "./data.ts";
import { PolicyError } from "./policy-error.ts";

export type DataResult =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly lines: readonly string[] };

function result(): DataResult {
  try {
    return { ok: true, text: readData(workerData as readonly SourceFile[]) };
  } catch (error) {
    if (error instanceof PolicyError) return { ok: false, lines: error.lines };
    throw error;
  }
}

parentPort?.postMessage(result());
