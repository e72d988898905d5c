// The thread of the self-test: what it throws is what is wrong with the policy; else it says what it found, and ends.
import { parentPort, workerData } from "node:worker_threads";
import type { Artifact } from "./artifact.ts";
import { tryOut } from "./self-test.ts";

parentPort?.postMessage(tryOut(workerData as Artifact));
