// The files that a configuration names and that a running process reads again. Pure.
import { destinations } from "./destinations.ts";
import type { Config } from "./schema.ts";

/** Keys, certificates and CAs. Secrets are read with the configuration; policy and revocations have watches of their own. */
export function rereadFiles(config: Config): string[] {
  const { wristband, assertions, sessions, tls } = config;
  const listeners = [tls.authz, tls.ops, tls.broker, tls.brokerOps, tls.authzen];
  const files = [
    ...[...wristband.keys, ...(assertions?.keys ?? []), ...(sessions?.keys ?? [])].map(({ file }) => file),
    ...listeners.flatMap((one) => [one?.certFile, one?.keyFile, one?.clientCaFile]),
    ...destinations(config).map(({ caFile }) => caFile),
    sessions?.caFile,
  ];
  return files.filter((file) => typeof file === "string");
}
