// The main thread of `serve`: the supervisor of one serving thread or of several workers, with what several need together. I/O.
import type { Config } from "../../config/load.ts";
import { moduleUrl } from "../../files/module-url.ts";
import { newSharedProofs } from "../../identity/shared-proofs.ts";
import { auditFailure } from "../../ops/audit/log.ts";
import { createAuditTurns, endAuditTurn, newAuditTurns } from "../../ops/audit/turns.ts";
import type { Log } from "../../ops/log.ts";
import { writeLostLines } from "../../ops/supervisor/lost-lines.ts";
import { supervise, type Supervisor } from "../../ops/supervisor/supervisor.ts";
import type { ServeData } from "./thread.ts";
import { workersOps } from "./workers-ops.ts";

/** Far above what a policy needs (well under a millisecond), far below what a caller would wait. */
export const POLICY_LIMIT_MS = 500;

export interface SupervisedOptions {
  readonly config: Config;
  readonly workers: number;
  readonly data: ServeData;
  readonly log: Log;
}

/** Starts the service. @throws {Error} that names the listener or the TLS file at fault */
export async function superviseServe(options: SupervisedOptions): Promise<Supervisor> {
  return options.workers === 1 ? one(options) : several(options);
}

function common({ config, data, log }: SupervisedOptions) {
  const script = moduleUrl(new URL("thread.ts", import.meta.url));
  return { script, data, limitMs: POLICY_LIMIT_MS, suspendMs: config.limits.runawaySeconds * 1000, log };
}

function one(options: SupervisedOptions): Supervisor {
  const { file } = options.config.audit;
  const onFailure = auditFailure(options.log, file);
  return supervise({ ...common(options), onLoss: (loss) => writeLostLines(loss, { file, onFailure }) });
}

async function several(options: SupervisedOptions): Promise<Supervisor> {
  const { config, workers: count, log } = options;
  const shared = { proofs: newSharedProofs(Date.now() / 1000), audit: newAuditTurns() };
  const { file } = config.audit;
  const lost = { file, onFailure: auditFailure(log, file), turns: createAuditTurns(shared.audit, count) };
  // It is there before the workers are, so that a second `serve` finds its port taken: theirs can be shared.
  const ops = workersOps(config, {
    workers: count,
    ask: (...asked) => supervisor.ask(...asked),
    isComplete: () => supervisor.isComplete(),
  });
  const opsPort = await ops.listen();
  const supervisor = supervise({
    ...common(options),
    workers: {
      ...{ count, shared },
      onEnd: (index) => endAuditTurn(shared.audit, index),
      onTls: ops.setTls,
      onReady: (ports) =>
        log.info("listening", { authz: ports?.authz ?? 0, ops: opsPort, ...authzen(ports), workers: count }),
    },
    onLoss: (loss) => writeLostLines(loss, lost),
  });
  void supervisor.ended.then(() => ops.close());
  return supervisor;
}

function authzen(ports: { readonly authzen: number | null } | null) {
  return ports?.authzen == null ? {} : { authzen: ports.authzen };
}
