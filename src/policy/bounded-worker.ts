// The thread of one bounded evaluation: its answer is the only message.
import { parentPort, workerData } from "node:worker_threads";
import type { PolicyInput } from "../authz/types.ts";
import { parseJson } from "../json/parse.ts";
import type { BoundedTask } from "./bounded.ts";
import { decide } from "./decision.ts";
import { createEvaluator, UNWATCHED } from "./evaluator.ts";

const { artifact, input } = workerData as BoundedTask;
const evaluator = createEvaluator(artifact, null, UNWATCHED);
parentPort?.postMessage(decide(evaluator, parseJson(input) as PolicyInput));
