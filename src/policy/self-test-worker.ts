// The thread of the self-test: what it throws is what is wrong with the policy; else it ends.
import { workerData } from "node:worker_threads";
import type { Artifact } from "./artifact.ts";
import { tryOut } from "./self-test.ts";

tryOut(workerData as Artifact);
