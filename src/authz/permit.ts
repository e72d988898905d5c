// What the pipeline permits a verified caller, whatever door the request came through. Pure.
import type { Secret } from "../secret/secret.ts";
import type { Target } from "./target.ts";
import type { AllowDecision, Destinations, Identity, Visible } from "./types.ts";

/** A named operation at its server, as policy saw it. */
export type CallTarget = Target & { readonly server: string };

/** What is permitted. */
export type Permitted =
  /** One named operation. Its credential is fetched apart. */
  | { readonly kind: "call"; readonly target: CallTarget }
  /** A list of these names and no others; on the servers' own names. `merged`: of several servers. */
  | { readonly kind: "list"; readonly names: Visible; readonly merged: boolean }
  /** A stream that tells of these resources, with the caller's credentials for their servers. */
  | {
      readonly kind: "watch";
      readonly names: Visible;
      readonly credentials: Secret | null;
      readonly destinations: Destinations;
      readonly note: string;
    }
  /** A handshake, a notification, or what acts on the caller's own MCP session: it names nothing. */
  | { readonly kind: "open" };

export type PermitOf<Kind extends Permitted["kind"]> = Permit & {
  readonly what: Extract<Permitted, { readonly kind: Kind }>;
};

/**
 * The pipeline's yes: the one value that a front door may answer with anything but a refusal. Only {@link Permit.ofCall} and
 * {@link Permit.ofHousekeeping} make it, from a verified identity, and a call's from a decision that allows; an object of the same
 * shape has no `#proven`.
 */
export class Permit {
  readonly #proven = true;
  readonly identity: Identity;
  /** Housekeeping has no decision of policy: lists are filtered. */
  readonly decision: AllowDecision | "housekeeping";
  readonly what: Permitted;

  private constructor(identity: Identity, decision: AllowDecision | "housekeeping", what: Permitted) {
    this.identity = identity;
    this.decision = decision;
    this.what = what;
  }

  static is(value: unknown): value is Permit {
    return typeof value === "object" && value !== null && #proven in value && value.#proven;
  }

  static ofCall(identity: Identity, decision: AllowDecision, target: CallTarget): PermitOf<"call"> {
    return new Permit(identity, decision, { kind: "call", target }) as PermitOf<"call">;
  }

  static ofHousekeeping(identity: Identity, what: Exclude<Permitted, { readonly kind: "call" }>): Permit {
    return new Permit(identity, "housekeeping", what);
  }
}

/** True for a permit of this kind. */
export function permits<Kind extends Permitted["kind"]>(permit: Permit, kind: Kind): permit is PermitOf<Kind> {
  return permit.what.kind === kind;
}
