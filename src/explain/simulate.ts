import { createCheck } from "../authz/check.ts";
import { pass, refuse, type Step } from "../authz/step.ts";
import type { Outcome } from "../authz/outcome.ts";
import type { PolicyInput, Decision, Identity } from "../authz/types.ts";
import type { Ports } from "../authz/ports.ts";
import { newCheckFacts, type CheckFacts } from "../authz/facts.ts";
import type { Config } from "../config/load.ts";
import { createIdentity, type IdentityService } from "../identity/identity.ts";
import { decideBounded } from "../policy/bounded.ts";
import { explain, type Explanation } from "../policy/explain.ts";
import { loadPolicy } from "../policy/load.ts";
import type { FindOpa } from "../policy/opa.ts";
import { firstLine } from "../policy/policy-error.ts";
import { loadSigningKeys } from "../wristband/keys.ts";
import { createSigner } from "../wristband/sign.ts";
import { captureInput, requestOf, type CallSpec } from "./call.ts";
import { checkSettings } from "../config/settings.ts";
import { clockFault, type ClockFault } from "../identity/clock-skew.ts";
import { livePolicy, type LivePolicy } from "./live-policy.ts";
import { readRevocationFile } from "../app/serve/revocations.ts";
import { probeCredentials, type CredentialNote } from "./credential-probe.ts";

export interface AskOptions {
  readonly findOpa: FindOpa;
  readonly askVault: boolean;
}

/** What a call would meet, step by step. Null where it did not come so far. */
export interface Attempt {
  readonly outcome: Outcome;
  readonly facts: CheckFacts;
  readonly identified: Step<Identity> | null;
  readonly input: PolicyInput | null;
  readonly policy: AskedPolicy | null;
  readonly credentials: readonly CredentialNote[];
  readonly wristband: string | null;
  /** Issuers whose clock is far from ours. */
  readonly clocks: readonly ClockFault[];
}

export interface AskedPolicy {
  readonly decision: Step<Decision>;
  readonly rules: Explanation;
  /** False when the files hold no policy that can be asked. */
  readonly loaded: boolean;
  /** Null when no serve of this configuration answers. */
  readonly live: LivePolicy | null;
}

const TIMEOUT_MS = 10_000;
const POLICY_LIMIT_MS = 5000;

/** Sends one call through serve's own pipeline, without a trace of it: no audit line, no metric, nothing sent upstream. */
export async function ask(config: Config, spec: CallSpec, options: AskOptions): Promise<Attempt> {
  const identity = createIdentity({
    issuers: config.identity.issuers,
    now: Date.now,
    revoked: (await readRevocationFile(config)).revoked,
  });
  await identity.start();
  const clocks = clockFaults(identity, Date.now());
  const settings = checkSettings(config);
  const request = requestOf(spec, config);
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  let identified: Step<Identity> | null = null;
  const identify: Ports["identify"] = async (...args) => (identified ??= await identity.identify(...args));
  try {
    const captured = await captureInput({ settings, identify }, request, signal);
    const { input } = captured;
    if (input === null) return { ...captured, identified, policy: null, credentials: [], wristband: null, clocks };
    const policy = await askPolicy(config, input, options.findOpa);
    const credentials = probeCredentials(config, spec.server, options.askVault);
    if (policy.decision.ok && policy.decision.value.allow) await credentials.start();
    const signer = probeSigner(config);
    const ports: Ports = {
      note: () => {},
      identify,
      decide: () => policy.decision,
      visible: () => refuse("internal"),
      fetchCredential: credentials.fetch,
      signWristband: signer.sign,
    };
    const facts = newCheckFacts("why", Date.now());
    const outcome = await createCheck(settings, ports)(request, facts, AbortSignal.timeout(TIMEOUT_MS)).finally(
      credentials.close,
    );
    const probed = { credentials: credentials.notes, wristband: signer.said() };
    return { outcome, facts, identified, input, policy, clocks, ...probed };
  } finally {
    identity.close();
  }
}

function clockFaults(identity: IdentityService, now: number): ClockFault[] {
  const status = identity.status();
  return status.map(({ issuer }) => clockFault(status, issuer, now)).filter((fault) => fault !== null);
}

/** The policy of the files, in bounded time, with the rules that decided where opa can name them. */
export async function askPolicy(config: Config, input: PolicyInput, findOpa: FindOpa): Promise<AskedPolicy> {
  const { path, rego } = config.policy;
  const live = await livePolicy(config);
  try {
    const { artifact, files } = await loadPolicy({ path, rego, findOpa });
    const decision = await decideBounded(artifact, input, POLICY_LIMIT_MS);
    const rules =
      files === null
        ? { unknown: "policy.path is a bundle: the rules are in the folder that it was built from" }
        : await explain({ files, rego, data: artifact.data, findOpa }, input);
    return { decision, rules, loaded: true, live };
  } catch (error) {
    const rules = { unknown: "the policy cannot be loaded" };
    return { decision: refuse("policy_unavailable", firstLine(error)), rules, loaded: false, live };
  }
}

interface SignerProbe {
  readonly sign: Ports["signWristband"];
  /** Null while no wristband was needed. */
  said(): string | null;
}

/** Signs as serve would. Where the private key cannot be read the rest is still worth telling, so that is only said. */
function probeSigner({ wristband }: Config): SignerProbe {
  let said: string | null = null;
  return {
    said: () => said,
    sign: (identity, visible, use) => {
      try {
        const keys = loadSigningKeys(wristband.keys);
        const signed = createSigner({ ...wristband, keys: () => keys, now: Date.now })(identity, visible, use);
        said = signed.ok ? `signed with ${keys[0]?.kid ?? "?"} for the broker, names this call only` : signed.reason;
        return signed;
      } catch (error) {
        said = `not tried: ${error instanceof Error ? error.message : "the keys cannot be read"}`;
        return pass({ jws: "not-signed", jti: "not-signed", leftOut: [] });
      }
    },
  };
}
