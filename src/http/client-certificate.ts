// The names in a client's certificate (RFC 5280 §4.2.1.6), held against those that a listener expects. Pure.
import { TLSSocket } from "node:tls";
import type { Socket } from "node:net";

/** The clients that a TLS listener accepts. */
export interface ClientNames {
  /** Null: clients need no certificate. */
  readonly clientCa: Buffer | null;
  /** One of these must be in the client's certificate (DNS or URI SAN, exact); empty: any certificate of the CA. */
  readonly clientSans: readonly string[];
}

/** Node accepts any certificate of the CA, so the names are compared here. */
export function isExpectedClient({ clientCa, clientSans }: ClientNames, socket: Socket): boolean {
  if (clientCa === null) return true;
  if (!(socket instanceof TLSSocket) || !socket.authorized) return false;
  if (clientSans.length === 0) return true;
  const names = (socket.getPeerCertificate().subjectaltname ?? "")
    .split(", ")
    .map((entry) => /^(?:DNS|URI):([^"]*)$/.exec(entry)?.[1]);
  return names.some((name) => name !== undefined && clientSans.includes(name));
}
