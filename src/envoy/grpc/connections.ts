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

/**
 * Stops accepting, and resolves when all connections have ended; those that are left after `ms` are cut.
 * @param endSessions asks the HTTP/2 sessions to end after their calls
 */
export async function closeWithin(
  server: Server,
  { sockets, endSessions }: { readonly sockets: ReadonlySet<Socket>; readonly endSessions: () => void },
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
}
