// Rules of listeners: TLS beyond loopback, and addresses that Envoy takes. Pure.
import { destinations } from "../destinations.ts";
import { isIP } from "node:net";
import type { Reporter } from "../problem.ts";
import type { Config } from "../schema.ts";
import { isLoopback } from "../schema/values.ts";

const LISTENERS = ["authz", "ops", "broker", "brokerOps", "authzen"] as const;

export function checkListeners(config: Config, { problem }: Reporter): void {
  for (const name of LISTENERS) {
    const listen = config.listen[name];
    if (
      listen === null ||
      listen.kind === "unix" ||
      isLoopback(listen.host) ||
      config.tls[name] ||
      config.listen.plaintext
    )
      continue;
    problem(
      `listen.${name}`,
      `${listen.host} is not loopback: give tls.${name}, or say listen.plaintext: true where a mesh's sidecar encrypts`,
    );
  }
  for (const name of LISTENERS) {
    const tls = config.tls[name];
    if (tls && tls.clientSans.length > 0 && tls.clientCaFile === null) {
      problem(
        `tls.${name}.clientSans`,
        `needs tls.${name}.clientCaFile: names in a certificate mean nothing without its CA`,
      );
    }
  }
}

/** Each worker listens on the port of all, or on one of its own. */
export function checkWorkers(config: Pick<Config, "workers" | "listen">, reporter: Pick<Reporter, "problem">): void {
  const { workers, listen } = config;
  if (workers === 1) return;
  for (const name of ["authz", "authzen"] as const)
    if (listen[name]?.kind === "unix")
      reporter.problem(
        `listen.${name}`,
        "is a Unix socket, which several workers cannot share: give a TCP address, or workers: 1",
      );
  if (listen.workerPorts === "each") checkWorkerPorts(config, reporter);
}

function checkWorkerPorts(
  { workers, listen }: Pick<Config, "workers" | "listen">,
  { problem }: Pick<Reporter, "problem">,
): void {
  const { authz } = listen;
  if (authz.kind === "unix") return;
  const last = authz.port + workers - 1;
  if (authz.port === 0 || last > 65_535)
    problem("listen.workerPorts", "each: listen.authz must have a port after which there is one for each worker");
  const isTaken = (port: number) => port >= authz.port && port <= last;
  for (const name of LISTENERS) {
    const other = listen[name];
    if (name === "authz" || other?.kind !== "tcp" || !isTaken(other.port)) continue;
    const ports = `${authz.port} to ${last}`;
    problem("listen.workerPorts", `each: the workers take the ports ${ports}, and listen.${name} is one of them`);
  }
}

/** A decision point hands out its own URL, which nobody can tell from an address that others do not see. */
export function checkAuthzen({ listen: { authzen }, authzen: { origin } }: Config, { problem }: Reporter): void {
  if (authzen === null || origin !== null || (authzen.kind === "tcp" && isLoopback(authzen.host))) return;
  problem("authzen.origin", "is needed where listen.authzen is not on loopback: the URL under which others reach it");
}

/** Envoy resolves no name to listen on, and takes each address once. */
export function checkEnvoyListeners({ envoy: { listen, opsListen } }: Config, { problem }: Reporter): void {
  for (const [key, address] of Object.entries({ listen, opsListen })) {
    if (address.kind === "tcp" && isIP(address.host) === 0)
      problem(`envoy.${key}`, `${address.host} is a name: Envoy listens on an IP address, as 127.0.0.1 or 0.0.0.0`);
  }
  if (JSON.stringify(listen) === JSON.stringify(opsListen))
    problem("envoy.opsListen", "is the same as envoy.listen: operators need an address of their own");
}

/** The keys that our own processes and the printed Envoy need to reach a listener with TLS. */
export function checkPeers(config: Config, { warn }: Reporter): void {
  for (const name of ["authz", "broker"] as const)
    if (config.tls[name] !== undefined && config.envoy.tls[name] === null)
      warn(
        `envoy.tls.${name}`,
        `is not set, though tls.${name} is: the printed Envoy configuration would speak to it without TLS`,
      );
  for (const { listener, urlKey } of destinations(config))
    if (listener !== null && (config.tls[listener]?.clientCaFile ?? null) !== null)
      warn(
        urlKey,
        `is not set, and tls.${listener} wants a client certificate, which our own processes have none of: name a way that needs none`,
      );
}
