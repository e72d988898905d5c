// A service's process and its signals. I/O: listens to signals, to uncaught errors and for the end of npm.
import type { Log } from "./log.ts";
import { onParentGone } from "./parent.ts";

export interface SignalHandlers {
  /** Drains and closes the service. */
  readonly terminate: () => Promise<void>;
  readonly reload: () => Promise<void>;
  readonly log: Log;
}

/**
 * Ties the process to its signals: SIGTERM and SIGINT drain and exit 0, a second one exits 1 at once; SIGHUP reloads; an
 * uncaught error is logged, drained and exits 70; the end of the npm that started it counts as a first SIGTERM. Resolves with
 * the exit code.
 */
export function untilSignal({ terminate, reload, log }: SignalHandlers): Promise<number> {
  return new Promise((done) => {
    let ending = false;
    const end = (code: number) => {
      if (ending) {
        process.exit(1);
      }
      ending = true;
      terminate().then(
        () => done(code),
        () => done(1),
      );
    };
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.on(signal, () => {
        log.info("signal", { signal });
        end(0);
      });
    }
    onParentGone(() => {
      if (ending) return;
      log.info("parent_gone");
      end(0);
    });
    process.on("SIGHUP", () => {
      log.info("signal", { signal: "SIGHUP" });
      reload().catch((error: unknown) =>
        log.error("reload_failed", { message: error instanceof Error ? error.message : "failed" }),
      );
    });
    const uncaught = (error: unknown) => {
      log.error("bug", { error: error instanceof Error ? `${error.name} ${firstFrame(error)}` : typeof error });
      end(70);
    };
    process.on("uncaughtException", uncaught);
    process.on("unhandledRejection", uncaught);
  });
}

/** The first stack frame, without the message, which may quote a request. */
function firstFrame(error: Error): string {
  return (
    error.stack
      ?.split("\n")
      .find((line) => line.trim().startsWith("at "))
      ?.trim() ?? ""
  );
}
