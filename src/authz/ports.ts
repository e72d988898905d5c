// What the pipeline needs from outside; each adapter implements one of these. Types only.
import type { CheckFacts } from "./facts.ts";
import type { Step } from "./step.ts";
import type {
  Credential,
  Decision,
  Identity,
  PolicyInput,
  TokenUse,
  Visible,
  Wristband,
  WristbandUse,
} from "./types.ts";

/** What the pipeline needs from outside. Each refuses with a {@link Step}; none throws for expected faults. */
export interface Ports {
  /** Told of a Check whose caller is known and that is about to wait: its facts must outlive the serving thread. */
  note(check: CheckFacts): void;
  identify(bearer: string, use: TokenUse, signal: AbortSignal): Step<Identity> | Promise<Step<Identity>>;
  /** @param check the Check that policy is asked for: a runaway evaluation counts against its caller */
  decide(input: PolicyInput, check: CheckFacts): Step<Decision>;
  /** What of one server (or of all, where `input.mcp.server` is null) the caller may see, of the kind that is listed. */
  visible(input: PolicyInput, signal: AbortSignal, check: CheckFacts): Step<Visible> | Promise<Step<Visible>>;
  fetchCredential(
    server: string,
    identity: Identity,
    signal: AbortSignal,
  ): Step<Credential> | Promise<Step<Credential>>;
  /** @param use to show these names, or to carry one call with these bytes */
  signWristband(identity: Identity, visible: Visible, use: WristbandUse): Step<Wristband> | Promise<Step<Wristband>>;
}
