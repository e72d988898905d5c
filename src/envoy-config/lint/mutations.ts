// Which headers a connection manager takes off before it chooses a route, or before the Check. Pure.
// https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/common/mutation_rules/v3/mutation_rules.proto
import { at, isTrueAt, listAt, textAt, typedOf } from "./fields.ts";
import type { Manager } from "./managers.ts";

/** True for a header that is gone. */
type Stripper = (name: string) => boolean;

const EXT_AUTHZ = ".ext_authz.v3.ExtAuthz";

export function stripsBefore(manager: Manager, when: "routing" | "check"): Stripper {
  const mutations = when === "routing" ? early(manager) : beforeCheck(manager);
  return (name) => mutations.some((mutation) => removes(mutation, name));
}

function early({ fields }: Manager) {
  return listAt(fields, "early_header_mutation_extensions").flatMap((extension) =>
    listAt(typedOf(at(extension, "typed_config")).fields, "mutations"),
  );
}

function beforeCheck({ filters }: Manager) {
  const end = filters.findIndex(({ type }) => type.endsWith(EXT_AUTHZ));
  return filters
    .slice(0, Math.max(0, end))
    .filter(({ type, isOff }) => type.endsWith(".header_mutation.v3.HeaderMutation") && !isOff)
    .flatMap(({ fields }) => listAt(fields, "mutations", "request_mutations"));
}

function removes(mutation: unknown, name: string): boolean {
  if (textAt(mutation, "remove").toLowerCase() === name) return true;
  const matcher = at(mutation, "remove_on_match", "key_matcher");
  return matcher !== undefined && matches(matcher, name);
}

function matches(matcher: unknown, name: string): boolean {
  const fold = (text: string) => (isTrueAt(matcher, "ignore_case") ? text.toLowerCase() : text);
  const tests: Readonly<Record<string, (text: string) => boolean>> = {
    exact: (text) => name === text,
    prefix: (text) => name.startsWith(text),
    suffix: (text) => name.endsWith(text),
    contains: (text) => name.includes(text),
  };
  return Object.entries(tests).some(([kind, test]) => {
    const text = fold(textAt(matcher, kind));
    return text !== "" && test(text);
  });
}

/** Names among `managed` that a list of mutations writes or removes. */
export function managedOfMutations(mutations: unknown, managed: ReadonlySet<string>): string[] {
  return listAt({ mutations }, "mutations")
    .map((mutation) => (textAt(mutation, "remove") || textAt(mutation, "append", "header", "key")).toLowerCase())
    .filter((name) => managed.has(name));
}
