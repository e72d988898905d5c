// The operator listener of several workers, in the main thread: it asks them, and says one thing of all. I/O by messages.
import { parseJson } from "../../json/parse.ts";
import type { Config } from "../../config/load.ts";
import { createSumOfWorkers, type Seen } from "../../ops/metrics/sum.ts";
import type { OpsRequest, OpsResponse, OpsServer } from "../../ops/ops-server.ts";
import type { OpsAnswer } from "../../ops/supervisor/messages.ts";
import type { Supervisor } from "../../ops/supervisor/supervisor.ts";
import { REFETCH_PATH } from "../../wristband/refetch.ts";
import { opsServer } from "./ops.ts";

export interface WorkersOps {
  readonly workers: number;
  readonly ask: Supervisor["ask"];
  readonly isComplete: Supervisor["isComplete"];
}

const AWAY: OpsResponse = { status: 503, contentType: "text/plain", body: "no worker answers\n" };
const NO_CREDENTIAL = JSON.stringify({ credential: null });

/** Makes the listener. @throws {Error} that names the TLS file at fault */
export function workersOps(config: Config, { workers, ask, isComplete }: WorkersOps): OpsServer {
  const sum = createSumOfWorkers();
  const all = (path: string) => Promise.all(indexes(workers).map((worker) => ask(worker, { path, headers: {} })));
  const any = (path: string) => async (): Promise<OpsResponse> => {
    for (const worker of indexes(workers)) {
      const answer = await ask(worker, { path, headers: {} });
      if (answer !== null) return answer;
    }
    return AWAY;
  };
  return opsServer(config, {
    posts: { [REFETCH_PATH]: (asked) => refetched(asked, { workers, ask }) },
    routes: {
      "/healthz": () => ({ status: 200, contentType: "text/plain", body: "ok\n" }),
      "/readyz": async () => readiness(await all("/readyz"), isComplete()),
      "/metrics": async () => {
        const answers = await all("/metrics");
        const seen = answers.flatMap((answer, i): [number, Seen][] =>
          answer?.status === 200 ? [[i, parseJson(answer.body) as Seen]] : [],
        );
        return { status: 200, contentType: sum.contentType, body: await sum.render(new Map(seen)) };
      },
      "/.well-known/jwks.json": any("/.well-known/jwks.json"),
      "/.well-known/assertion-jwks.json": any("/.well-known/assertion-jwks.json"),
    },
  });
}

/** From the last to the first: one of them has the call, if any, and the first counts it where none has. */
async function refetched(
  { headers }: OpsRequest,
  { workers, ask }: Pick<WorkersOps, "workers" | "ask">,
): Promise<OpsResponse> {
  let last: OpsAnswer | null = null;
  for (const worker of indexes(workers).toReversed()) {
    const answer = await ask(worker, { path: REFETCH_PATH, headers });
    if (answer !== null && answer.body.trim() !== NO_CREDENTIAL) return answer;
    last = answer ?? last;
  }
  return last ?? AWAY;
}

interface Readiness {
  readonly policy?: { readonly revision: string };
  readonly revocations?: { readonly stale: string | null };
}

/** Ready when each is. What is told in all is the first one's, which watches the files. */
function readiness(answers: readonly (OpsAnswer | null)[], isComplete: boolean): OpsResponse {
  const bodies = answers.map((answer) => (answer === null ? null : (parseJson(answer.body) as Readiness)));
  const ready = isComplete && answers.every((answer) => answer?.status === 200);
  const workers = bodies.map((body, worker) => ({
    ...{ worker, ready: answers[worker]?.status === 200 },
    ...{ policy: body?.policy?.revision ?? null, revocationsStale: body?.revocations?.stale ?? null },
  }));
  const body = { ...bodies.find((one) => one !== null), ready, workers };
  return { status: ready ? 200 : 503, contentType: "application/json", body: `${JSON.stringify(body)}\n` };
}

function indexes(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
