// Composes one Vault: session, mounts, entries, reports. I/O.
import { createHttpClient } from "../../http/client.ts";
import { cacheKey, type LookupCache, type Owner } from "../lookup-cache.ts";
import type { CredentialSource } from "../source.ts";
import { createVaultClient } from "./client.ts";
import { readEntry } from "./entry.ts";
import { logIn, type NewClient, type VaultAuth } from "./login.ts";
import { createMounts } from "./mounts.ts";
import { createReports, type VaultLog, type VaultMetrics } from "./reports.ts";
import { createVaultSession } from "./session.ts";
import {
  createCallerSessions,
  type CallerLogin,
  type EntryPlace,
  type CallerSessions,
  type CallerSessionsDeps,
} from "./caller-sessions.ts";
import { vaultSource, type VaultEntry } from "./source.ts";

export interface VaultSettings {
  /** Scheme, host and port. */
  readonly address: string;
  readonly auth: VaultAuth;
  /** Where callers log in with their own tokens; absent: nowhere. */
  readonly callerLogin?: CallerLogin | null;
  readonly namespace: string | null;
  /** PEM; null for the system's CAs. */
  readonly ca: Buffer | null;
  readonly timeoutMs: number;
  readonly cacheTtlMs: number;
  readonly negativeTtlMs: number;
  readonly aliasOf: (issuer: string) => string | null;
}

export interface VaultDeps {
  readonly cache: LookupCache;
  readonly log: VaultLog;
  readonly metrics: VaultMetrics;
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic?: () => number;
  /** 0 to 1. */
  readonly random?: () => number;
}

/** One Vault, for all servers that have credentials in it. */
export interface Vault {
  source(entry: VaultEntry): CredentialSource;
  /** Logs in. Resolves after the first attempt, successful or not; failed log-ins are retried in the background. */
  start(): Promise<void>;
  /** Gives back what callers who are revoked got by their own tokens. */
  purge(isRevoked: (owner: Owner) => boolean): void;
  close(): Promise<void>;
}

/** @throws {Error} for CAs that cannot be read */
export function createVault(settings: VaultSettings, deps: VaultDeps): Vault {
  const { monotonic = () => performance.now(), random = Math.random } = deps;
  const { address: origin, auth, namespace, timeoutMs } = settings;
  const http = createHttpClient({ origin, ca: settings.ca, name: "vault" });
  const newClient: NewClient = (token) => createVaultClient({ http, origin, namespace, timeoutMs, token });
  const reports = createReports(auth, { ...deps, monotonic });
  const usedMounts = new Set<string>();
  const session = createVaultSession({
    logIn: () => logIn(auth, newClient),
    onLogin(result, failures) {
      reports.login(result, failures);
      if (result.ok) for (const mount of usedMounts) void faultOf(mount);
    },
    monotonic,
    random,
  });
  const mounts = createMounts(session);

  async function faultOf(mount: string): Promise<string | null> {
    const fault = await mounts.fault(mount);
    if (fault === null || fault.remedy === null) return fault?.detail ?? null;
    reports.mount(mount, fault.detail, fault.remedy);
    return `mount ${mount}: ${fault.detail}`;
  }

  const callers = callerSessionsOf(settings.callerLogin ?? null, { newClient, monotonic, now: Date.now });

  const read = async ({ mount, path }: EntryPlace, [field, ...more]: readonly [string, ...string[]]) => {
    const cannotTell = await faultOf(mount);
    if (cannotTell !== null) return { cannotTell };
    return readEntry(await session.ask((client) => client.read(`${mount}/data/${path}`)), field, more);
  };
  const { cache } = deps;
  const { cacheTtlMs, negativeTtlMs, aliasOf } = settings;
  const vaultId = cacheKey(origin, namespace);
  return {
    source(entry) {
      if (entry.asCaller !== true) usedMounts.add(entry.mount);
      return vaultSource(entry, {
        ...{ vaultId, cache, cacheTtlMs, negativeTtlMs, aliasOf, random, monotonic },
        ...{ read: entry.asCaller === true ? callers.read : read, now: Date.now, onRead: reports.read },
      });
    },
    start: () => session.start(),
    purge: callers.purge,
    async close() {
      await callers.close();
      await session.close(!("token" in auth));
      http.close();
    },
  };
}

/** Without a log-in for callers nobody can use it: the configuration's rules see to that, and so does this. */
function callerSessionsOf(login: CallerLogin | null, deps: Omit<CallerSessionsDeps, "login">): CallerSessions {
  if (login !== null) return createCallerSessions({ ...deps, login });
  const cannotTell = { cannotTell: "vault.callerLogin is not set up" };
  return { read: () => Promise.resolve(cannotTell), purge: () => {}, close: () => Promise.resolve() };
}
