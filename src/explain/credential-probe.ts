// The credential chain of one server for `why`: it exchanges nothing, and asks Vault only with `--credentials`. I/O.
import { generateKeyPairSync } from "node:crypto";
import { parameterOf } from "../authz/credential-parts.ts";
import type { Ports } from "../authz/ports.ts";
import { Secret } from "../secret/secret.ts";
import type { Config } from "../config/load.ts";
import { issuerAliases } from "../config/callers.ts";
import { headersOf } from "../config/names.ts";
import { withCallerHeaders } from "../credential/caller-headers.ts";
import { createCredentials } from "../credential/chain.ts";
import type { Lookup, CredentialSource } from "../credential/source.ts";
import { createStderrLog } from "../ops/log.ts";
import type { SigningKey } from "../wristband/keys.ts";
import { createMetrics } from "../ops/metrics/serve.ts";
import { credentialChains, credentialDestinations, type CredentialChains } from "../app/serve/credentials.ts";

type CredentialConfig = Config["servers"][string]["credential"][number];

/** The result of one kind of the chain, or the request that it would send. Never a value. */
export interface CredentialNote {
  readonly kind: CredentialConfig["kind"];
  readonly answer: "found" | "has none" | "refused" | "cannot tell" | "not asked";
  readonly says: string;
}

export interface CredentialProbe {
  readonly fetch: Ports["fetchCredential"];
  readonly notes: readonly CredentialNote[];
  /** Logs in at the Vault if it is to be asked. */
  start(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Makes the chain. A kind that is not asked counts as one that has found a credential, and its note says that it was not
 * asked.
 */
export function probeCredentials(config: Config, server: string, askVault: boolean): CredentialProbe {
  const notes: CredentialNote[] = [];
  const entries = config.servers[server]?.credential ?? [];
  const real = realChains(config, server, askVault);
  const aliases = issuerAliases(config);
  const { ofCaller = {} } = config.servers[server] === undefined ? {} : headersOf(config.servers[server]);
  const callerHeaders = (source: CredentialSource) =>
    withCallerHeaders(source, ofCaller, (issuer) => aliases.get(issuer) ?? null);
  const asked = [...(real.chains.get(server) ?? [])];
  const chain = entries.map((entry): CredentialSource => {
    const wouldAsk = notAsked(entry, askVault);
    const source = wouldAsk === null ? asked.shift() : undefined;
    if (source === undefined) return callerHeaders(placeholder(entry, wouldAsk ?? "would be asked", notes));
    return {
      kind: entry.kind,
      async get(identity, signal) {
        const answer = await source.get(identity, signal);
        notes.push({ kind: entry.kind, ...noteOf(answer) });
        return answer;
      },
    };
  });
  const fetch = createCredentials(new Map([[server, chain]]), credentialDestinations(config));
  return { fetch, notes, start: () => real.start(), close: () => real.close() };
}

/** Describes the chain for a call that did not reach it. */
export function chainOf(config: Config, server: string): string {
  const kinds = (config.servers[server]?.credential ?? []).map(({ kind }) => kind);
  return kinds.length === 1 ? `${kinds.join()} would be asked` : `${kinds.join(", then ")} would be asked`;
}

/** Builds the kinds that are asked, and no others: those would open connections and read secrets. */
function realChains(config: Config, server: string, askVault: boolean): CredentialChains {
  const settings = config.servers[server];
  const credential = settings?.credential.filter((entry) => notAsked(entry, askVault) === null) ?? [];
  const servers = settings === undefined ? {} : { [server]: { ...settings, credential } };
  const log = createStderrLog("warn");
  return credentialChains({ ...config, servers }, { log, metrics: createMetrics(), assertionKeys: () => [trialKey()] });
}

/** A key of this run: `why` needs no private key of serve's, and what it signs goes nowhere. */
function trialKey(): SigningKey {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { kid: "trial", privateKey, jwk: {} };
}

function notAsked(entry: CredentialConfig, askVault: boolean): string | null {
  if (entry.kind === "client_credentials") {
    const target = entry.audience ?? entry.resource;
    const aim = target === null ? "" : ` for "${target}"`;
    return `would ask ${entry.tokenEndpoint} for a token of the gateway's own${aim}, the same for every caller`;
  }
  if (entry.kind === "exchange") {
    const scope = entry.scope === null ? "" : `, scope "${entry.scope}"`;
    const actor = entry.mode === "delegation" ? ", with the gateway as its actor" : "";
    return `would exchange the caller's token at ${entry.tokenEndpoint} for audience "${entry.audience}"${scope}${actor}`;
  }
  if (entry.kind === "vault" && entry.dynamic !== null)
    return `would have a secret made for this caller at ${entry.mount}/${entry.path}, field ${entry.field}`;
  if (entry.kind !== "vault" || askVault) return null;
  return `would read ${entry.mount}/${entry.path}, field ${entry.field}; --credentials asks Vault`;
}

function placeholder(entry: CredentialConfig, says: string, notes: CredentialNote[]): CredentialSource {
  const value = new Secret("not-asked");
  return {
    kind: entry.kind,
    get() {
      notes.push({ kind: entry.kind, answer: "not asked", says });
      return { found: { kind: entry.kind, header: entry.header, value } };
    },
  };
}

function placeText(place: string): string {
  const parameter = parameterOf(place);
  return parameter === null ? `the header ${place}` : `the parameter ${parameter} of the query`;
}

function noteOf(answer: Lookup): Omit<CredentialNote, "kind"> {
  if ("found" in answer) {
    const { value, header, more = [] } = answer.found;
    return {
      answer: "found",
      says:
        value === null
          ? "the server wants none"
          : `goes into ${[header, ...more.map((one) => one.header)].map(placeText).join(" and ")}`,
    };
  }
  if ("hasNone" in answer) return { answer: "has none", says: answer.hasNone };
  if ("refused" in answer) return { answer: "refused", says: answer.refused };
  return { answer: "cannot tell", says: answer.cannotTell };
}
