import { chmodSync, lstatSync, rmSync } from "node:fs";
import type { Server } from "node:net";

/** Where a server listens: TCP, or a Unix socket. */
export type ListenAddress =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

/**
 * Listens; a socket can be used by its owner and group only.
 * @param key of the configuration, for the message
 * @returns the port, 0 for a socket
 * @throws {Error} that names the key at fault
 */
export function listen(server: Server, key: string, address: ListenAddress): Promise<number> {
  if (address.kind === "unix") removeStaleSocket(address.path);
  return new Promise((done, fail) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const where = address.kind === "unix" ? address.path : `${address.host}:${address.port}`;
      const why = error.code === "EADDRINUSE" ? "another program listens there" : (error.code ?? "failed");
      fail(new Error(`${key}: cannot listen on ${where}: ${why}`));
    });
    const listening = () => {
      if (address.kind === "unix") chmodSync(address.path, 0o660);
      const bound = server.address();
      done(typeof bound === "object" && bound !== null ? bound.port : 0);
    };
    if (address.kind === "unix") server.listen(address.path, listening);
    else server.listen(address.port, address.host, listening);
  });
}

/** A socket that a process left behind; nothing else is removed. */
function removeStaleSocket(path: string): void {
  try {
    if (lstatSync(path).isSocket()) rmSync(path);
  } catch {
    // Not there: nothing to remove.
  }
}
