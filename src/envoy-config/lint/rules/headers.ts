// Headers that a client could write in our name, and headers of ours that do not arrive. Pure.
import { managedOfMutations, stripsBefore } from "../mutations.ts";
import type { Finding, Severity } from "../finding.ts";
import { at, isTrueAt, listAt, numberAt, textAt, textsAt } from "../fields.ts";
import type { Manager } from "../managers.ts";
import { guardedManagers, guardsInUse, type Guard, type World } from "../world.ts";
import { writersAfter } from "./filters.ts";

export function headerFindings(world: World): Finding[] {
  return [
    ...guardedManagers(world).flatMap((manager) => [
      ...strippedFindings(world, manager),
      ...sourceFindings(world, manager),
    ]),
    ...guardsInUse(world).flatMap((guard) => writtenFindings(world, guard)),
  ];
}

/** Envoy's own names: removed together, by their prefix. */
const ENVOYS = ["x-envoy-auth-partial-body", "x-envoy-auth-failure-mode-allowed", "x-envoy-original-path"];

function strippedFindings(world: World, manager: Manager): Finding[] {
  const { expected } = world;
  const early = stripsBefore(manager, "routing");
  const later = stripsBefore(manager, "check");
  const matched = matchedHeaders(world, manager);
  const isGone = (name: string) => early(name) || (later(name) && !matched.has(name));
  const names = [...new Set([...expected.stripped, ...matched, ...ENVOYS])].filter((name) => !isGone(name));
  const taken = expected.reads.filter((name) => early(name) || later(name));
  const found: Finding[] = [];
  if (names.length > 0) {
    const routed = names.filter((name) => matched.has(name));
    found.push({
      rule: "header-not-stripped",
      severity: routed.length > 0 ? "high" : "medium",
      place: manager.place,
      message: `A client's own ${listed(names)} ${names.length === 1 ? "is" : "are"} not removed before routing${routed.length > 0 ? `, and routes are chosen by ${listed(routed)}` : ""}.`,
      fix: "Remove them in early_header_mutation_extensions; a filter is too late for the choice of the route.",
    });
  }
  if (taken.length > 0)
    found.push({
      rule: "check-input-stripped",
      severity: "low",
      place: manager.place,
      message: `${listed(taken)} ${taken.length === 1 ? "is" : "are"} removed before mcp-authz can read ${taken.length === 1 ? "it" : "them"}.`,
      fix: "Take the name out of the mutation: mcp-authz removes it from what goes on.",
    });
  return found;
}

function listed(names: readonly string[]): string {
  return names.join(", ");
}

/** Names of ours by which routes are chosen. */
function matchedHeaders({ routes, expected }: World, manager: Manager): Set<string> {
  const ours = new Set([...expected.stripped, expected.routeHeader ?? "x-mcp-route", "x-mcp-server"]);
  const names = routes
    .filter((route) => route.manager === manager)
    .flatMap((route) => listAt(route.fields, "match", "headers").map((header) => textAt(header, "name").toLowerCase()));
  return new Set(names.filter((name) => ours.has(name)));
}

/** Whose word the client's address and certificate are. */
function sourceFindings({ expected }: World, { place, fields }: Manager): Finding[] {
  const found: Finding[] = [];
  const add = (rule: string, severity: Severity, [message, fix]: readonly [string, string]) =>
    found.push({ rule, severity, place, message, fix });
  if (!isTrueAt(fields, "use_remote_address") && listAt(fields, "original_ip_detection_extensions").length === 0)
    add("remote-address", "medium", [
      "Envoy believes a client's own x-forwarded-for, x-forwarded-proto and x-envoy-… headers (use_remote_address is not set).",
      "Set use_remote_address: true, and xff_num_trusted_hops to the number of proxies before it.",
    ]);
  const hops = numberAt(fields, "xff_num_trusted_hops") ?? 0;
  if (expected.trustedHops !== null && hops !== expected.trustedHops)
    add("trusted-hops", hops > expected.trustedHops ? "medium" : "low", [
      `Envoy believes ${hops} addresses of x-forwarded-for, and the configuration says ${expected.trustedHops} (envoy.trustedHops).`,
      `Set xff_num_trusted_hops: ${expected.trustedHops}, or envoy.trustedHops: ${hops}.`,
    ]);
  if (isTrueAt(fields, "skip_xff_append"))
    add("forwarded-append", "medium", [
      "Envoy does not add the client's address to x-forwarded-for (skip_xff_append): what goes on is what the client wrote.",
      "Remove skip_xff_append.",
    ]);
  if (/FORWARD/.test(textAt(fields, "forward_client_cert_details")))
    add("client-certificate", "medium", [
      `A client's own x-forwarded-client-cert passes (${textAt(fields, "forward_client_cert_details")}): it can say that it has any certificate.`,
      "Set forward_client_cert_details: SANITIZE (SANITIZE_SET where a server needs it).",
    ]);
  if (isTrueAt(fields, "preserve_external_request_id"))
    add("request-id", "low", [
      "A client chooses x-request-id: it can make two requests one in every log.",
      "Set preserve_external_request_id: false.",
    ]);
  const underscores = textAt(fields, "common_http_protocol_options", "headers_with_underscores_action");
  if (!["REJECT_REQUEST", "DROP_HEADER"].includes(underscores))
    add("underscores", "medium", [
      "A header with `_` passes, and some servers read it as the one with `-`: x_authorized_tools becomes x-authorized-tools behind the check.",
      "Set common_http_protocol_options.headers_with_underscores_action: REJECT_REQUEST.",
    ]);
  return found;
}

/** What routes and later filters write over the answer of the Check, or take out of it. */
function writtenFindings(world: World, guard: Guard): Finding[] {
  const managed = new Set([...world.expected.managed, ...world.expected.reads]);
  const forRoutes = guard.routes.flatMap(({ levels, place }) => {
    const removed = levels.flatMap((level) =>
      textsAt(level, "request_headers_to_remove").map((name) => name.toLowerCase()),
    );
    const written = levels.flatMap((level) => listAt(level, "request_headers_to_add"));
    return [
      ...grantRemoved(
        removed.filter((name) => managed.has(name)),
        place,
      ),
      ...written.flatMap((option) => writtenBy(option, managed, place)),
    ];
  });
  const forFilters = writersAfter(guard).flatMap(({ name, fields }) => {
    const names = managedOfMutations(at(fields, "mutations", "request_mutations"), managed);
    const place = { ...guard.manager.place, filter: name };
    return names.length === 0 ? [] : [overwritten(names, place)];
  });
  return [...forRoutes, ...forFilters];
}

function grantRemoved(names: readonly string[], place: Finding["place"]): Finding[] {
  if (names.length === 0) return [];
  return [
    {
      rule: "grant-removed",
      severity: "low",
      place,
      message: `The route removes ${listed(names)} after the check, where mcp-authz has just set what the broker or the server needs.`,
      fix: "Take the name out of request_headers_to_remove: mcp-authz sets or removes it in every answer.",
    },
  ];
}

const FORWARDED = /^(?:forwarded|x-real-ip|x-forwarded-.*|x-envoy-.*)$/;

function writtenBy(option: unknown, managed: ReadonlySet<string>, place: Finding["place"]): Finding[] {
  const name = textAt(option, "header", "key").toLowerCase();
  if (managed.has(name)) return [overwritten([name], place)];
  const action = textAt(option, "append_action");
  const appends = action === "" ? at(option, "append") !== false : action === "APPEND_IF_EXISTS_OR_ADD";
  if (!FORWARDED.test(name) || !(appends || action === "ADD_IF_ABSENT")) return [];
  return [
    {
      rule: "forwarded-append",
      severity: "medium",
      place,
      message: `${name} is added beside what the client wrote in it: a server may read the client's.`,
      fix: "Set append_action: OVERWRITE_IF_EXISTS_OR_ADD.",
    },
  ];
}

function overwritten(names: readonly string[], place: Finding["place"]): Finding {
  return {
    rule: "grant-overwritten",
    severity: "high",
    place,
    message: `${listed(names)} ${names.length === 1 ? "is" : "are"} written after the check, over what mcp-authz has decided.`,
    fix: "Leave managed headers to mcp-authz: give the server its credential in the configuration.",
  };
}
