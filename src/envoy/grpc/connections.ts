// The connections of one gRPC listener: TCP keep-alive, and how they end. I/O on sockets; the same for both wire stacks.
import type { Server, Socket } from "node:net";

/** TCP keep-alive: finds peers that vanished without FIN. */
export const KEEP_ALIVE = { keepAlive: true, keepAliveInitialDelay: 60_000 };

/** The sockets that a server has open, those in a TLS handshake included. */
export function openSockets(server: Server): ReadonlySet<Socket> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  return sockets;
}

/** A call hears of the end of its connection a few turns of the event loop after it; this is far more. */
const CALLS_END_MS = 1000;

/** Counts the calls that a handler has: each makes its audit record when its connection is cut, and the audit log closes next. */
export class OpenCalls {
  #count = 0;
  #idle = Promise.withResolvers<void>();

  begin(): void {
    this.#count += 1;
  }

  end(): void {
    this.#count -= 1;
    if (this.#count === 0) this.#idle.resolve();
  }

  /** Resolves when no call is open, or after a time that no call should need. */
  async ended(): Promise<void> {
    if (this.#count === 0) return;
    this.#idle = Promise.withResolvers<void>();
    const timer = setTimeout(() => this.#idle.resolve(), CALLS_END_MS);
    await this.#idle.promise;
    clearTimeout(timer);
  }
}

interface Listener {
  readonly sockets: ReadonlySet<Socket>;
  readonly calls: OpenCalls;
  /** Asks the HTTP/2 sessions to end after their calls. */
  readonly endSessions: () => void;
}

/** Stops accepting, and resolves when all connections and their calls have ended; those that are left after `ms` are cut. */
export async function closeWithin(
  server: Server,
  { sockets, calls, endSessions }: Listener,
  ms: number,
): Promise<void> {
  const closed = new Promise<void>((done) => server.close(() => done()));
  endSessions();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((done) => {
    timer = setTimeout(done, ms);
  });
  await Promise.race([closed, late]);
  clearTimeout(timer);
  // Http2Session.destroy() would wait for the peer; a connection in its TLS handshake has no session yet.
  for (const socket of sockets) socket.destroy();
  await closed;
  await calls.ended();
}
