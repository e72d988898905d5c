// The door of AuthZEN, wired. I/O through its listener.
import type { Decisions } from "../../authz/decision-call.ts";
import type { Ports } from "../../authz/ports.ts";
import { createAuthzen, type AuthzenServer } from "../../authzen/server.ts";
import type { Config } from "../../config/load.ts";
import { urlOf } from "../../http/url.ts";
import { tlsOf } from "../tls-listeners.ts";
import type { LiveCheck } from "./live-check.ts";

export interface AuthzenParts {
  readonly decisions: Decisions;
  readonly live: Pick<LiveCheck, "inForce">;
  readonly identify: Ports["identify"];
}

/** Null where the configuration has no such listener. @throws {Error} that names the TLS file at fault */
export function authzenOf(config: Config, { decisions, live, identify }: AuthzenParts): AuthzenServer | null {
  const address = config.listen.authzen;
  if (address === null) return null;
  const { origin, scope } = config.authzen;
  return createAuthzen({
    ...{ address, decisions, tls: tlsOf(config, "authzen"), trust: { identify, scope } },
    origin: origin ?? urlOf(address, "listen.authzen", config.tls.authzen !== undefined),
    maxBodyBytes: config.limits.bodyBytes,
    inForce: live.inForce,
    checkTimeoutMs: config.checkTimeoutMs,
    now: Date.now,
  });
}
