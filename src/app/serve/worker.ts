// What one of several workers does otherwise than a serving thread alone: where it listens, what it votes on, how it answers for the
// operator listener, which the main thread has. Pure but for the messages.
import { hash } from "node:crypto";
import type { Config } from "../../config/load.ts";
import type { ListenAddress } from "../../http/listen.ts";
import type { Log } from "../../ops/log.ts";
import type { Agree } from "../../ops/reload.ts";
import type { FromThread, OpsAnswer, OpsQuestion, WorkerPlace } from "../../ops/supervisor/messages.ts";
import type { OpsRoutes } from "./ops.ts";

/** Where this worker listens: on the port of all, which the kernel spreads, or on one of its own. */
export function listenOf({ listen }: Pick<Config, "listen">, place: WorkerPlace | null): Config["listen"] {
  if (place === null) return listen;
  const { ports } = place;
  return {
    ...listen,
    authz: listen.workerPorts === "each" ? nthPort(listen.authz, place.index) : shared(listen.authz, ports?.authz),
    authzen: listen.authzen && shared(listen.authzen, ports?.authzen),
  };
}

/** @param port that the first worker got */
function shared(address: ListenAddress, port: number | null | undefined): ListenAddress {
  return address.kind === "unix" ? address : { ...address, port: port ?? address.port, isShared: true };
}

/** The address of the n-th worker where each has a port of its own. */
export function nthPort(address: ListenAddress, n: number): ListenAddress {
  return address.kind === "unix" ? address : { ...address, port: address.port + n };
}

/** True for the one that does what one does for all: it loads policy and watches the configuration. */
export function isFirst(place: WorkerPlace | null): boolean {
  return place === null || place.index === 0;
}

/** Its events say which worker they are of. */
export function logOf(log: Log, place: WorkerPlace | null): Log {
  if (place === null) return log;
  const { index: worker } = place;
  return {
    debug: (event, fields) => log.debug(event, { ...fields, worker }),
    info: (event, fields) => log.info(event, { ...fields, worker }),
    warn: (event, fields) => log.warn(event, { ...fields, worker }),
    error: (event, fields) => log.error(event, { ...fields, worker }),
  };
}

/** Votes on the parts of reloads, and hears the verdicts. */
export interface Voter {
  agree(round: number): Agree;
  verdict(verdict: { readonly round: number; readonly part: string; readonly isAgreed: boolean }): void;
}

export function createVoter(tell: (message: FromThread<never>) => void): Voter {
  const waiting = new Map<string, (isAgreed: boolean) => void>();
  const nameOf = (round: number, part: string) => `${round} ${part}`;
  return {
    agree: (round) => (part, ready) =>
      new Promise((done) => {
        waiting.set(nameOf(round, part), done);
        const content = ready === null ? "" : hash("sha256", ready.content, "base64url");
        tell({ type: "vote", round, part, isReady: ready !== null, content });
      }),
    verdict({ round, part, isAgreed }) {
      const name = nameOf(round, part);
      waiting.get(name)?.(isAgreed);
      waiting.delete(name);
    },
  };
}

/**
 * Runs reloads in the order in which they were told, which is that of all workers: each waits for the others in every round, so that
 * two in two orders would wait for each other.
 */
export function createInOrder<A extends readonly unknown[]>(
  run: (...args: A) => Promise<void>,
): (...args: A) => Promise<void> {
  let last: Promise<void> = Promise.resolve();
  return (...args) => (last = last.then(() => run(...args)));
}

const FAILED: OpsAnswer = { status: 500, contentType: "text/plain", body: "failed\n" };

/** Answers for the operator listener. */
export async function answerFor({ routes, posts }: OpsRoutes, { path, headers }: OpsQuestion): Promise<OpsAnswer> {
  try {
    const route = Object.hasOwn(posts, path) ? posts[path] : Object.hasOwn(routes, path) ? routes[path] : undefined;
    return (await route?.({ headers })) ?? FAILED;
  } catch {
    return FAILED;
  }
}
