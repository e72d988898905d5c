// Listening on TCP or on a Unix socket, with errors that name the key. I/O.
import { chmodSync, lstatSync, rmSync } from "node:fs";
import { connect, type Server } from "node:net";

/** Where a server listens: TCP, or a Unix socket. */
export type ListenAddress =
  | {
      readonly kind: "tcp";
      readonly host: string;
      readonly port: number;
      /** Others of the same user listen there, too (`SO_REUSEPORT`): the kernel gives each some of the connections. */
      readonly isShared?: boolean;
    }
  | { readonly kind: "unix"; readonly path: string };

/**
 * Listens; a socket can be used by its owner and group only.
 * @param key of the configuration, for the message
 * @returns the port, 0 for a socket
 * @throws {Error} that names the key at fault
 */
export async function listen(server: Server, key: string, address: ListenAddress): Promise<number> {
  const where = address.kind === "unix" ? address.path : `${address.host}:${address.port}`;
  const taken = () => new Error(`${key}: cannot listen on ${where}: another program listens there`);
  if (address.kind === "unix" && !(await removeStale(address.path))) throw taken();
  return new Promise((done, fail) => {
    // The listener stays: a connection that cannot be accepted (EMFILE) must not end the process.
    server.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") fail(taken());
      else fail(new Error(`${key}: cannot listen on ${where}: ${error.code ?? "failed"}`));
    });
    const listening = () => {
      try {
        if (address.kind === "unix") chmodSync(address.path, 0o660);
      } catch {
        fail(new Error(`${key}: ${where} is gone again`));
        return;
      }
      const bound = server.address();
      done(typeof bound === "object" && bound !== null ? bound.port : 0);
    };
    if (address.kind === "unix") server.listen(address.path, listening);
    else {
      const { port, host, isShared: reusePort = false } = address;
      server.listen({ port, host, reusePort }, listening);
    }
  });
}

/** Removes a stale socket, and nothing else. False if a process listens on it. */
async function removeStale(path: string): Promise<boolean> {
  try {
    if (!lstatSync(path).isSocket()) return true;
    if (await answers(path)) return false;
    rmSync(path);
  } catch {
    // Not there: nothing to remove.
  }
  return true;
}

function answers(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path);
    socket.on("connect", () => {
      socket.destroy();
      done(true);
    });
    // Only ECONNREFUSED proves a stale socket. EAGAIN (full backlog) and EACCES mean a live listener.
    socket.on("error", (error: NodeJS.ErrnoException) => done(error.code !== "ECONNREFUSED"));
  });
}
