// The rule that a policy of the form of opa-envoy-plugin is asked for. Pure.

/** Of the section `policy.envoy`. */
export interface EnvoyRule {
  /** As `envoy.authz`. */
  readonly package: string;
  /** A rule of it; null for the whole package, whose rules are the members of the decision. */
  readonly rule: string | null;
}

/** As the compiler takes it: `envoy/authz/allow`. */
export function entrypointOf({ package: name, rule }: EnvoyRule): string {
  return [...name.split("."), ...(rule === null ? [] : [rule])].join("/");
}
