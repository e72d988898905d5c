// What the attack tests run with: durations from the environment, limits from docker-compose.yml, addresses on loopback.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { parse } from "yaml";

const COMPOSE = resolve(import.meta.dirname, "../../docker-compose.yml");
const MIB = 1024 * 1024;

/** The three processes of the gateway. */
export const PROCESSES = ["envoy", "serve", "broker"] as const;
export type ProcessName = (typeof PROCESSES)[number];

/** Seconds of each phase: `npm run test:attack -- --seconds N` shortens the attack. */
export const ATTACK_SECONDS = Number(process.env["ATTACK_SECONDS"] ?? 60);
export const QUIET_SECONDS = Number(process.env["ATTACK_QUIET_SECONDS"] ?? 10);

/** Where the honest caller and the attacker come from: two addresses of this machine. */
export const HONEST_SOURCE = "127.0.7.1";
export const ATTACK_SOURCE = "127.0.66.6";

/** `deploy.resources.limits.memory` of docker-compose.yml, in MiB. */
export function memoryLimits(): Readonly<Record<ProcessName, number>> {
  interface Compose {
    readonly services: Readonly<Record<string, { deploy?: { resources?: { limits?: { memory?: string } } } }>>;
  }
  const { services } = parse(readFileSync(COMPOSE, "utf8"), { merge: true }) as Compose;
  const of = (name: ProcessName) => mebibytes(services[name]?.deploy?.resources?.limits?.memory ?? "");
  return { envoy: of("envoy"), serve: of("serve"), broker: of("broker") };
}

/** Compose counts in powers of 1024. */
function mebibytes(text: string): number {
  const [, digits, unit] = /^(\d+)([KMG])$/i.exec(text) ?? [];
  if (digits === undefined || unit === undefined) throw new Error(`no memory limit in docker-compose.yml: "${text}"`);
  return (Number(digits) * { k: 1024, m: MIB, g: 1024 * MIB }[unit.toLowerCase() as "k" | "m" | "g"]) / MIB;
}
