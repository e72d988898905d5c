// Settings of the ext_authz filter under which a refusal is none, or another request is judged than the one that goes on. Pure.
// https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/extensions/filters/http/ext_authz/v3/ext_authz.proto
import { at, hasAt, isTrueAt, listAt, millisecondsAt, numberAt, textAt, type Fields } from "../fields.ts";
import type { Finding, Severity } from "../finding.ts";
import { settingOf } from "../routes.ts";
import { guardsInUse, isNamedByCheck, type Guard, type World } from "../world.ts";

interface Rule {
  readonly rule: string;
  readonly severity: Severity;
  readonly isFault: (fields: Fields, world: World, guard: Guard) => boolean;
  readonly message: string;
  readonly fix: string;
}

const RULES: readonly Rule[] = [
  {
    rule: "failure-mode-allow",
    severity: "high",
    isFault: (fields) => isTrueAt(fields, "failure_mode_allow"),
    message: "While mcp-authz is down, slow or full, every request passes unchecked (failure_mode_allow).",
    fix: "Set failure_mode_allow: false (in a mesh: failOpen: false).",
  },
  {
    rule: "shadow-mode",
    severity: "high",
    isFault: (fields) => isTrueAt(fields, "shadow_mode"),
    message: "shadow_mode is on: decisions are counted, and refused requests pass.",
    fix: "Remove shadow_mode.",
  },
  {
    rule: "status-on-error",
    severity: "low",
    isFault: (fields) => !hasAt(fields, "status_on_error") || isBelow500(textAt(fields, "status_on_error", "code")),
    message: "While mcp-authz does not answer, clients get 403 or a status like it, and take it for a refusal.",
    fix: "Set status_on_error: {code: ServiceUnavailable}.",
  },
  {
    rule: "validate-mutations",
    severity: "medium",
    isFault: (fields) => !isTrueAt(fields, "validate_mutations"),
    message: "Envoy does not look at the header values that an answer sets: a line break in one splits the message.",
    fix: "Set validate_mutations: true.",
  },
  {
    rule: "raw-headers",
    severity: "medium",
    isFault: (fields) => !isTrueAt(fields, "encode_raw_headers"),
    message:
      "Headers reach mcp-authz as text, in which Envoy writes `!` for each byte that is not UTF-8: it judges other headers than the server gets.",
    fix: "Set encode_raw_headers: true.",
  },
  {
    rule: "headers-hidden",
    severity: "high",
    isFault: (fields) =>
      listAt(fields, "allowed_headers", "patterns").length + listAt(fields, "disallowed_headers", "patterns").length >
      0,
    message:
      "mcp-authz sees a part of the headers only (allowed_headers, disallowed_headers), and the server gets them all.",
    fix: "Remove allowed_headers and disallowed_headers.",
  },
  {
    rule: "clear-route-cache",
    severity: "low",
    isFault: (fields, world, guard) => !isTrueAt(fields, "clear_route_cache") && isRoutedByCheck(world, guard),
    message:
      "Routes want what the Check says (metadata or the route header), but the route is chosen before it and stays: every call gets the first route.",
    fix: "Set clear_route_cache: true.",
  },
  {
    rule: "metadata-dropped",
    severity: "low",
    isFault: (fields, world, guard) =>
      at(fields, "enable_dynamic_metadata_ingestion") === false &&
      world.routes.some((route) => route.manager === guard.manager && isNamedByCheck(route, [guard])),
    message: "Envoy drops the metadata of the Check, and routes match by it: no call finds its route.",
    fix: "Remove enable_dynamic_metadata_ingestion: false.",
  },
  {
    rule: "check-timeout",
    severity: "low",
    isFault: (fields) => millisecondsAt(fields, "grpc_service", "timeout") === null,
    message:
      "ext_authz has no timeout of its own: Envoy waits 200 ms, and a decision that fetches a credential takes longer.",
    fix: "Set grpc_service.timeout to a quarter more than checkTimeoutMs, and 0.2 s for the network.",
  },
  {
    rule: "check-timeout",
    severity: "low",
    isFault: (fields, { expected: { decisionMs } }) =>
      (millisecondsAt(fields, "grpc_service", "timeout") ?? 1000) < (decisionMs ?? 300),
    message: "The timeout of ext_authz is shorter than a decision may take (checkTimeoutMs): calls end in 503.",
    fix: "Set grpc_service.timeout to a quarter more than checkTimeoutMs, and 0.2 s for the network.",
  },
  {
    rule: "check-timeout",
    severity: "low",
    isFault: (fields) => {
      const timeout = millisecondsAt(fields, "grpc_service", "timeout");
      return timeout !== null && (timeout > LONGEST_CHECK_MS || timeout === 0);
    },
    message: "While mcp-authz hangs, each request and its body are held for longer than 30 s.",
    fix: "Set grpc_service.timeout to a second or two.",
  },
  {
    rule: "check-back-off",
    severity: "low",
    isFault: (fields) => hasAt(fields, "grpc_service", "retry_policy", "retry_back_off"),
    message:
      "The interval of retry_back_off caps the time of each Check (envoyproxy/envoy#38847): it fails before its timeout.",
    fix: "Remove retry_back_off from grpc_service.retry_policy.",
  },
  {
    rule: "denied-body-cut",
    severity: "low",
    isFault: (fields) => isWithin(numberAt(fields, "max_denied_response_body_bytes"), [1, LEAST_DENIED_BYTES - 1]),
    message: "Envoy cuts the body of a refusal: clients get JSON that is none.",
    fix: `Set max_denied_response_body_bytes to 65536, or leave it out.`,
  },
  {
    rule: "mutation-rules",
    severity: "low",
    isFault: (fields) =>
      hasAt(fields, "decoder_header_mutation_rules") &&
      isTrueAt(fields, "decoder_header_mutation_rules", "disallow_is_error") &&
      !isTrueAt(fields, "decoder_header_mutation_rules", "allow_envoy"),
    message:
      "With these decoder_header_mutation_rules, taking off a header `x-envoy-…` is an error: calls that carry one end in 500.",
    fix: "Set allow_envoy: true in them.",
  },
];

const LONGEST_CHECK_MS = 30_000;
const LEAST_DENIED_BYTES = 4096;

export function extAuthzFindings(world: World): Finding[] {
  return guardsInUse(world).flatMap((guard) => [
    ...RULES.filter(({ isFault }) => isFault(guard.filter.fields, world, guard)).map(
      ({ rule, severity, message, fix }) => ({ rule, severity, place: guard.place, message, fix }),
    ),
    ...bodyFindings(world, guard),
  ]);
}

/** Statuses are written by name; those of success and of faults of the client begin otherwise. */
function isBelow500(code: string): boolean {
  return !/^(?:InternalServerError|NotImplemented|BadGateway|ServiceUnavailable|GatewayTimeout|InsufficientStorage)$/.test(
    code,
  );
}

function isWithin(value: number | null, [least, most]: readonly [number, number]): boolean {
  return value !== null && value >= least && value <= most;
}

/** True if a route of the guard wants metadata of the Check or the route header. */
function isRoutedByCheck(world: World, guard: Guard): boolean {
  return world.routes.some((route) => {
    if (route.manager !== guard.manager) return false;
    const headers = listAt(route.fields, "match", "headers").map((header) => textAt(header, "name"));
    return isNamedByCheck(route, [guard]) || headers.includes(world.expected.routeHeader ?? "x-mcp-route");
  });
}

/** Where the body that is judged is not the one that the server gets. */
function bodyFindings(world: World, guard: Guard): Finding[] {
  const whole = at(guard.filter.fields, "with_request_body");
  const found = [
    whole === undefined
      ? {
          rule: "body-not-sent",
          severity: "high" as const,
          place: guard.place,
          message:
            "Envoy sends no body with the Check: which tool is called cannot be judged, and every call is refused.",
          fix: "Set with_request_body: {max_request_bytes: N, allow_partial_message: false, pack_as_bytes: true}.",
        }
      : null,
    ...(whole === undefined ? [] : bodySettings(world, whole, guard)),
  ];
  const perRoute = world.routes
    .filter(({ manager }) => manager === guard.manager)
    .flatMap((route) => {
      const settings = at(settingOf(route, guard.filter.name, null)?.fields, "check_settings");
      const own = at(settings, "with_request_body");
      // Packing is the filter's, whatever a route says.
      if (own !== undefined)
        return bodySettings(world, { ...(own as Fields), pack_as_bytes: true }, { place: route.place });
      const isUnread = isTrueAt(settings, "disable_request_body_buffering") && route.destinations.length > 0;
      return isUnread && guard.routes.includes(route) && !isNamedByCheck(route, [guard]) ? [unread(route.place)] : [];
    });
  return [...found, ...perRoute].filter((one) => one !== null);
}

function unread(place: Guard["place"]): Finding {
  return {
    rule: "body-not-sent",
    severity: "low",
    place,
    message:
      "On this route Envoy sends no body with the Check: which tool is called cannot be judged, and every call is refused.",
    fix: "Remove disable_request_body_buffering from check_settings.",
  };
}

const KIB = 1024;
const SMALLEST_BYTES = 16 * KIB;
const LARGEST_BYTES = 4 * KIB * KIB;

function bodySettings({ expected }: World, body: unknown, { place }: Pick<Guard, "place">): Finding[] {
  const bytes = numberAt(body, "max_request_bytes") ?? 0;
  const least = expected.bodyBytes ?? SMALLEST_BYTES;
  const most = expected.bodyBytes ?? LARGEST_BYTES;
  const said = expected.hasConfig ? "limits.bodyBytes" : "what mcp-authz takes";
  const found: Finding[] = [];
  const add = (rule: string, severity: Severity, [message, fix]: readonly [string, string]) =>
    found.push({ rule, severity, place, message, fix });
  if (isTrueAt(body, "allow_partial_message"))
    add("body-partial", "high", [
      "Of a body above the limit, Envoy shows mcp-authz the beginning and sends the server all of it (allow_partial_message).",
      "Set allow_partial_message: false.",
    ]);
  if (!isTrueAt(body, "pack_as_bytes"))
    add("body-as-text", "high", [
      "The body reaches mcp-authz as text, in which Envoy writes `!` for each byte that is not UTF-8: it judges another body than the server gets.",
      "Set pack_as_bytes: true in with_request_body.",
    ]);
  if (bytes < least)
    add("body-limit-small", "low", [
      `Bodies above ${bytes} bytes are refused; ${said} is ${least} at least.`,
      `Set max_request_bytes: ${least}.`,
    ]);
  if (bytes > most)
    add("body-limit-large", "medium", [
      `Envoy holds up to ${bytes} bytes of each request before its token is verified; ${said} is ${most} at most.`,
      `Set max_request_bytes: ${most}.`,
    ]);
  return found;
}
