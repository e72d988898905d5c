// Which blocks of our source code ran, by V8's own precise coverage (inspector protocol, Profiler domain).
//
// Not @jazzer.js/core, whose native part of today needs a newer C library (glibc 2.38) than the systems that we support,
// and is not built without sources from elsewhere; its older versions and jsfuzz do not know today's Node.
import { Session, type Profiler } from "node:inspector";

export interface BlockCoverage {
  /** The blocks that ran since the last call. */
  take(): Set<string>;
  stop(): void;
}

export function startCoverage(isOurs: (url: string) => boolean): BlockCoverage {
  const session = new Session();
  session.connect();
  const post = (method: string, params: object = {}): unknown => {
    let result: unknown = null;
    // Within one thread the answer comes before `post` returns.
    session.post(method, params, (error, answer) => {
      if (error !== null) throw error;
      result = answer;
    });
    return result;
  };
  post("Profiler.enable");
  post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  return {
    take() {
      const { result } = post("Profiler.takePreciseCoverage") as Profiler.TakePreciseCoverageReturnType;
      const blocks = new Set<string>();
      for (const { url, functions } of result) if (isOurs(url)) addBlocks(blocks, url, functions);
      return blocks;
    },
    stop() {
      session.disconnect();
    },
  };
}

function addBlocks(blocks: Set<string>, url: string, functions: readonly Profiler.FunctionCoverage[]): void {
  for (const { ranges } of functions)
    for (const { startOffset, endOffset, count } of ranges)
      if (count > 0) blocks.add(`${url}:${startOffset}-${endOffset}`);
}
