import { readFileSync } from "node:fs";
import type { Config } from "../config.ts";

/** The key material of one of serve's listeners, or null without TLS. @throws {Error} that names the key at fault */
export function tlsMaterial(config: Config, listener: "authz" | "ops") {
  const tls = config.tls[listener];
  if (tls === undefined) return null;
  const read = (key: string, file: string) => {
    try {
      return readFileSync(file);
    } catch {
      throw new Error(`tls.${listener}.${key}: ${file} cannot be read`);
    }
  };
  return {
    key: read("keyFile", tls.keyFile),
    cert: read("certFile", tls.certFile),
    clientCa: tls.clientCaFile === null ? null : read("clientCaFile", tls.clientCaFile),
    clientSans: tls.clientSans,
  };
}
