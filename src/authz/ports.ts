// The ports of the pipeline; each adapter implements one function. Types only.
import type { CheckFacts } from "./facts.ts";
import type { HostDecision, HostQuestion } from "./host-decision.ts";
import type { Caller } from "./in-flight.ts";
import type { PresentedKey } from "./presented.ts";
import type { Refused, Step } from "./step.ts";
import type { TaskIds } from "./task-ids.ts";
import type {
  BoundCredential,
  Decision,
  Identity,
  ListDecision,
  PolicyInput,
  TokenUse,
  Visible,
  Wristband,
  WristbandUse,
} from "./types.ts";

/** A call that was allowed to go to the broker. */
export interface RelayedCall {
  /** Of its wristband. */
  readonly jti: string;
  readonly server: string;
  readonly identity: Identity;
  readonly credential: BoundCredential;
  /** Of its Check, for the audit line. */
  readonly facts: CheckFacts;
}

/** A key as it was presented; a bearer text may be an access token as well. */
export type KeyToIdentify = PresentedKey | { readonly by: "bearer"; readonly key: string };

/** Headers in which a proxy names a caller; null for one that comes twice. */
export interface NamedByProxy {
  readonly by: "proxy";
  /** Name in the proxy's verified certificate; "" without one. */
  readonly principal: string;
  readonly values: ReadonlyMap<string, string | null>;
}

/** A request without any credential. */
export interface Nobody {
  readonly by: "nothing";
  /** The server whose own endpoint is asked; null for others. */
  readonly server: string | null;
  readonly peer: string;
  /** Address of the client. */
  readonly source: string;
}

/** The functions that the pipeline calls. Each refuses with a {@link Step}; none throws for expected faults. */
export interface Ports {
  /** Records a Check whose caller is known and that is about to wait: its facts must outlive the serving thread. */
  note(check: CheckFacts): void;
  /** A header of the client's that may be a restriction does not reach the server of an allowed call. */
  headerDropped(name: string): void;
  /**
   * True for a tool of a direct server that has an argument which a client of the stateless revision must say in a header,
   * too, as far as the broker has told.
   */
  mirrorsArguments(server: string, tool: string): boolean;
  identify(bearer: string, use: TokenUse, signal: AbortSignal): Step<Identity> | Promise<Step<Identity>>;
  /** Finds the caller of a key; null for a bearer text that is none. Absent without keys. */
  readonly identifyKey?: ((presented: KeyToIdentify) => Step<Identity> | null) | undefined;
  /** Finds the caller whom a proxy names, or who needs no credential. Absent where there is none. */
  readonly identifyTokenless?: ((asked: NamedByProxy | Nobody) => Step<Identity>) | undefined;
  /** @param check the Check that policy is asked for: a runaway evaluation counts against its caller */
  decide(input: PolicyInput, check: CheckFacts): Step<Decision>;
  /** The names that the caller may see, of the listed kind, on one server (on all if `input.mcp.server` is null). */
  visible(input: PolicyInput, signal: AbortSignal, check: CheckFacts): Step<ListDecision> | Promise<Step<ListDecision>>;
  /** Asks the policy of the host's other paths. Absent where there is none. */
  readonly decideHost?: ((asked: HostQuestion, check: CheckFacts) => Step<HostDecision>) | undefined;
  /** The refusal of a source without a credential for which policy ran away; null for all others. */
  readonly refusalOf?: ((source: Caller) => Refused | null) | undefined;
  /** Finds the task that an id of ours means for this caller. Absent where tasks are not offered. */
  readonly openTask?: TaskIds["open"] | undefined;
  fetchCredential(
    server: string,
    identity: Identity,
    signal: AbortSignal,
  ): Step<BoundCredential> | Promise<Step<BoundCredential>>;
  /** Receives each call that goes to the broker with a credential out of a cache: its server may refuse it. */
  readonly relayed?: ((call: RelayedCall) => void) | undefined;
  /** @param use whether the wristband is for a list of these names or for one call with these bytes */
  signWristband(identity: Identity, visible: Visible, use: WristbandUse): Step<Wristband> | Promise<Step<Wristband>>;
}
