import { decisionTarget } from "./decision.ts";
import { noopTarget } from "./noop.ts";
import type { Target } from "./target.ts";

/** What `npm run bench` measures. The first is what the others are compared with. A new one is a file and a row here. */
export const TARGETS: readonly [Target, ...Target[]] = [noopTarget, decisionTarget];
