// Where others reach a listener of this process. I/O: the machine's network interfaces.
import { networkInterfaces } from "node:os";
import type { ListenAddress } from "../http/listen.ts";

/** `host:port`, with the machine's first address for a listener of all; `unix:…` for a socket, to which no other machine connects. */
export function ownAddress(address: ListenAddress): string {
  if (address.kind === "unix") return `unix:${address.path}`;
  const host = ["0.0.0.0", "::"].includes(address.host) ? firstAddress() : address.host;
  return `${host.includes(":") ? `[${host}]` : host}:${address.port}`;
}

/** The first address of this machine that others reach: a container has one. */
function firstAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const outside = addresses.filter(({ internal, scopeid }) => !internal && !scopeid);
  return (outside.find(({ family }) => family === "IPv4") ?? outside[0])?.address ?? "127.0.0.1";
}
