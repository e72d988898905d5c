// The connections of one gRPC listener: TLS options, and how they end. I/O on sockets; the same for both wire stacks.
import type { Server, Socket } from "node:net";
import type { TlsMaterial } from "../../files/tls.ts";

/** TCP keep-alive: finds peers that vanished without FIN. */
export const KEEP_ALIVE = { keepAlive: true, keepAliveInitialDelay: 60_000 };
const HANDSHAKE_MS = 5000;

/** Key, certificate and CA: what `setSecureContext` takes again after a reload. */
export function secureContext({ key, cert, clientCa }: TlsMaterial) {
  return { key, cert, ...(clientCa !== null && { ca: clientCa }) };
}

/** Options of a new TLS server. A new secure context does not change whether clients must show a certificate. */
export function tlsServerOptions(tls: TlsMaterial) {
  const requestCert = tls.clientCa !== null;
  return { ...secureContext(tls), requestCert, rejectUnauthorized: requestCert, handshakeTimeout: HANDSHAKE_MS };
}

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
