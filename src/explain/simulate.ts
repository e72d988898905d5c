// Sends one call through serve's own pipeline without its effects. I/O: keys of issuers, policy files, Vault if asked for.
import { identifyKeyOf } from "../app/callers.ts";
import { issuersOf } from "../app/issuers.ts";
import { createCheck } from "../authz/check.ts";
import { pass, refuse, type Step } from "../authz/step.ts";
import type { Outcome } from "../authz/outcome.ts";
import type { PolicyInput, Decision, Identity } from "../authz/types.ts";
import type { Ports } from "../authz/ports.ts";
import { newCheckFacts, type CheckFacts } from "../authz/facts.ts";
import type { Config } from "../config/load.ts";
import { createIdentity, type IdentityService } from "../identity/identity.ts";
import { decideBounded } from "../policy/bounded.ts";
import { explainRules, type Explanation } from "../policy/explain.ts";
import { loadPolicy } from "../policy/load.ts";
import type { FindOpa } from "../policy/opa.ts";
import type { KeptPolicy } from "../policy/revisions.ts";
import { firstLine } from "../policy/policy-error.ts";
import { loadSigningKeys } from "../wristband/keys.ts";
import { createSigner } from "../wristband/sign.ts";
import { captureInput, requestOf, type CallSpec } from "./call.ts";
import { checkSettings } from "../config/settings.ts";
import { clockFault, type ClockFault } from "../identity/clock-skew.ts";
import { fetchRunningPolicy, type RunningPolicy } from "./live-policy.ts";
import { readRevocationFile } from "../app/serve/revocations.ts";
import { probeCredentials, type CredentialNote } from "./credential-probe.ts";

export interface SimulateOptions {
  readonly findOpa: FindOpa;
  readonly askVault: boolean;
  /** Judged by in place of the policy files; null for the files. */
  readonly kept: KeptPolicy | null;
  /** The time that policy sees, in milliseconds since the epoch; default now. */
  readonly at?: number | null;
}

/** The result of each step. Null where the call did not reach it. */
export interface Simulation {
  readonly outcome: Outcome;
  readonly facts: CheckFacts;
  readonly identified: Step<Identity> | null;
  readonly input: PolicyInput | null;
  readonly policy: PolicyResult | null;
  readonly credentials: readonly CredentialNote[];
  readonly wristband: string | null;
  /** Issuers whose clock differs from ours. */
  readonly clocks: readonly ClockFault[];
}

/** The decision of the policy files, or of a kept policy, with the rules that made it. */
export interface PolicyResult {
  readonly decision: Step<Decision>;
  readonly rules: Explanation;
  /** False if the files hold no policy that can be loaded. */
  readonly loaded: boolean;
  /** Null if no serve of this configuration responds. */
  readonly live: RunningPolicy | null;
  /** A policy of `policy.revisions` was asked, not the files. */
  readonly isKept: boolean;
}

const TIMEOUT_MS = 10_000;
const POLICY_LIMIT_MS = 5000;

/** The configuration with the settings that a kept policy had when it was live. */
export function underKept(config: Config, kept: KeptPolicy | null): Config {
  if (kept === null) return config;
  const { compat = null, headers = [], zones = [] } = kept.settings;
  return { ...config, policy: { ...config.policy, compat, headers: [...headers], zones: [...zones] } };
}

/** Simulates one call: no audit line, no metric, nothing sent upstream. */
export async function simulate(now: Config, spec: CallSpec, options: SimulateOptions): Promise<Simulation> {
  const config = underKept(now, options.kept);
  const { revoked } = await readRevocationFile(config);
  const identity = createIdentity({ issuers: issuersOf(config), now: Date.now, revoked });
  const keys = identifyKeyOf(config, { now: Date.now, revoked });
  await identity.start();
  const clocks = clockFaults(identity, Date.now());
  const settings = checkSettings(config);
  const request = requestOf(spec, config);
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  let identified: Step<Identity> | null = null;
  const identify: Ports["identify"] = async (...args) => (identified ??= await identity.identify(...args));
  const identifyKey: Ports["identifyKey"] = (presented) => {
    const found = keys?.(presented) ?? null;
    if (found !== null) identified = found;
    return found;
  };
  try {
    const pipeline = { settings, identify, identifyKey, at: options.at ?? Date.now() };
    const capture = await captureInput(pipeline, request, signal);
    const { input } = capture;
    if (input === null) return { ...capture, identified, policy: null, credentials: [], wristband: null, clocks };
    const policy = await evaluatePolicy(config, input, options);
    const credentials = probeCredentials(config, spec.server, options.askVault);
    if (policy.decision.ok && policy.decision.value.allow) await credentials.start();
    const signer = probeSigner(config);
    const ports: Ports = {
      note: () => {},
      headerDropped: () => {},
      mirrorsArguments: () => false,
      ...{ identify, identifyKey },
      decide: () => policy.decision,
      visible: () => refuse("internal"),
      fetchCredential: credentials.fetch,
      signWristband: signer.sign,
    };
    const facts = newCheckFacts("why", Date.now());
    const outcome = await createCheck(settings, ports)(request, facts, AbortSignal.timeout(TIMEOUT_MS)).finally(
      credentials.close,
    );
    const probes = { credentials: credentials.notes, wristband: signer.line() };
    return { outcome, facts, identified, input, policy, clocks, ...probes };
  } finally {
    identity.close();
  }
}

function clockFaults(identity: IdentityService, now: number): ClockFault[] {
  const status = identity.status();
  return status.map(({ issuer }) => clockFault(status, issuer, now)).filter((fault) => fault !== null);
}

/** Evaluates the policy files, or a kept policy, in bounded time, and names the rules that decided, where opa can. */
export async function evaluatePolicy(
  { policy, ...config }: Config,
  input: PolicyInput,
  { findOpa, kept }: Pick<SimulateOptions, "findOpa" | "kept">,
): Promise<PolicyResult> {
  const live = await fetchRunningPolicy({ policy, ...config });
  try {
    const { artifact, rules } = kept ?? (await loadPolicy({ ...policy, findOpa }));
    const decision = await decideBounded(artifact, input, POLICY_LIMIT_MS);
    const named = await explainRules({ rules, data: artifact.data, findOpa }, input);
    return { decision, rules: named, loaded: true, live, isKept: kept !== null };
  } catch (error) {
    const rules = { unknown: "the policy cannot be loaded" };
    const decision = refuse("policy_unavailable", firstLine(error));
    return { decision, rules, loaded: false, live, isKept: kept !== null };
  }
}

interface SignerProbe {
  readonly sign: Ports["signWristband"];
  /** The line of the report; null while no wristband was needed. */
  line(): string | null;
}

/** Makes a signer like serve's. If the private key cannot be read, it says so and lets the simulation go on. */
function probeSigner({ wristband }: Config): SignerProbe {
  let line: string | null = null;
  return {
    line: () => line,
    sign: (identity, visible, use) => {
      try {
        const keys = loadSigningKeys(wristband.keys);
        const signed = createSigner({ ...wristband, keys: () => keys, now: Date.now })(identity, visible, use);
        line = signed.ok ? `signed with ${keys[0]?.kid ?? "?"} for the broker, names this call only` : signed.reason;
        return signed;
      } catch (error) {
        line = `not tried: ${error instanceof Error ? error.message : "the keys cannot be read"}`;
        return pass({ jws: "not-signed", jti: "not-signed", leftOut: [] });
      }
    },
  };
}
