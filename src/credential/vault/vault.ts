// Composes one Vault: session, mounts, entries, reports. I/O.
import { createHttpClient } from "../../http/client.ts";
import { cacheKey, type LookupCache, type Owner } from "../lookup-cache.ts";
import type { CredentialSource } from "../source.ts";
import { createVaultClient } from "./client.ts";
import { readEntry } from "./entry.ts";
import { logIn, type NewClient, type VaultAuth } from "./login.ts";
import { createLeases } from "./leases.ts";
import { leasedSource } from "./leased-source.ts";
import { createMounts } from "./mounts.ts";
import { createReports, type VaultLog, type VaultMetrics } from "./reports.ts";
import { createVaultSession, type VaultSession } from "./session.ts";
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
  /** Leases of dynamic secrets that are held now. */
  leases(): number;
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

  const clocks = { monotonic, now: Date.now };
  const callers = callerSessionsOf(settings.callerLogin ?? null, { newClient, ...clocks });
  const leases = createLeases({ session, ...clocks, onEvent: reports.lease });
  const { cacheTtlMs, negativeTtlMs, aliasOf } = settings;
  const common = { vaultId: cacheKey(origin, namespace), aliasOf, onRead: reports.read };
  return {
    source(entry) {
      if (entry.dynamic) return leasedSource(entry, entry.dynamic.idleMs, { ...common, leases });
      if (entry.asCaller !== true) usedMounts.add(entry.mount);
      const read = entry.asCaller === true ? callers.read : entryReader(session, faultOf);
      return vaultSource(entry, { ...common, ...clocks, cacheTtlMs, negativeTtlMs, random, cache: deps.cache, read });
    },
    ...{ start: () => session.start(), leases: () => leases.size },
    purge(isRevoked) {
      callers.purge(isRevoked);
      leases.purge(isRevoked);
    },
    async close() {
      await leases.close();
      await callers.close();
      await session.close(!("token" in auth));
      http.close();
    },
  };
}

function entryReader(session: VaultSession, faultOf: (mount: string) => Promise<string | null>) {
  return async ({ mount, path }: EntryPlace, [field, ...more]: readonly [string, ...string[]]) => {
    const cannotTell = await faultOf(mount);
    if (cannotTell !== null) return { cannotTell };
    return readEntry(await session.ask((client) => client.read(`${mount}/data/${path}`)), field, more);
  };
}

/** Without a log-in for callers nobody can use it: the configuration's rules see to that, and so does this. */
function callerSessionsOf(login: CallerLogin | null, deps: Omit<CallerSessionsDeps, "login">): CallerSessions {
  if (login !== null) return createCallerSessions({ ...deps, login });
  const cannotTell = { cannotTell: "vault.callerLogin is not set up" };
  return { read: () => Promise.resolve(cannotTell), purge: () => {}, close: () => Promise.resolve() };
}
