// Paths, protocols, upgrades and times of a connection manager that leads to the Check. Pure.
import type { Finding, Severity } from "../finding.ts";
import { at, hasAt, isTrueAt, listAt, millisecondsAt, numberAt, textAt, type Fields } from "../fields.ts";
import { runsOn, type Route } from "../routes.ts";
import { guardedManagers, guardsInUse, type Guard, type World } from "../world.ts";

interface Rule {
  readonly rule: string;
  readonly severity: Severity;
  readonly isFault: (fields: Fields) => boolean;
  readonly message: string;
  readonly fix: string;
}

const MAX_STREAMS = 1024;

const RULES: readonly Rule[] = [
  {
    rule: "normalize-path",
    severity: "medium",
    isFault: (fields) => !isTrueAt(fields, "normalize_path"),
    message:
      "Routes are chosen by the path as it is written: /.well-known/../mcp is another one than /mcp for a route, and the same for some servers.",
    fix: "Set normalize_path: true.",
  },
  {
    rule: "merge-slashes",
    severity: "medium",
    isFault: (fields) => !isTrueAt(fields, "merge_slashes"),
    message: "//mcp is another path than /mcp for a route, and the same for many servers.",
    fix: "Set merge_slashes: true.",
  },
  {
    rule: "escaped-slashes",
    severity: "medium",
    isFault: (fields) => textAt(fields, "path_with_escaped_slashes_action") !== "REJECT_REQUEST",
    message: "A path with %2F or %5C is passed on, rewritten or redirected, without the same reading everywhere.",
    fix: "Set path_with_escaped_slashes_action: REJECT_REQUEST.",
  },
  {
    rule: "upgrade",
    severity: "medium",
    isFault: (fields) => listAt(fields, "upgrade_configs").some((upgrade) => at(upgrade, "enabled") !== false),
    message:
      "An upgrade (websocket, CONNECT) is let through to the Check without its body; after one, nothing that is sent is checked.",
    fix: "Remove upgrade_configs: MCP needs none.",
  },
  {
    rule: "upgrade",
    severity: "medium",
    isFault: (fields) => isTrueAt(fields, "http2_protocol_options", "allow_connect"),
    message: "Extended CONNECT over HTTP/2 is allowed: it is an upgrade by another name.",
    fix: "Set http2_protocol_options.allow_connect: false.",
  },
  {
    rule: "http1-lenient",
    severity: "medium",
    isFault: (fields) =>
      ["allow_chunked_length", "accept_http_10", "allow_custom_methods"].some((name) =>
        isTrueAt(fields, "http_protocol_options", name),
      ),
    message:
      "HTTP/1 is read leniently (allow_chunked_length, accept_http_10 or allow_custom_methods): two readers can find two requests in one.",
    fix: "Remove those keys from http_protocol_options.",
  },
  {
    rule: "http2-streams",
    severity: "low",
    isFault: (fields) => (numberAt(fields, "http2_protocol_options", "max_concurrent_streams") ?? 0) > MAX_STREAMS,
    message: "One HTTP/2 connection may hold thousands of requests, each with its body, before any token is verified.",
    fix: "Set http2_protocol_options.max_concurrent_streams to 100 or fewer.",
  },
  {
    rule: "request-timeout",
    severity: "low",
    isFault: (fields) => (millisecondsAt(fields, "request_timeout") ?? 0) === 0,
    message: "A request whose body never ends is held for ever: it is not checked before it is whole.",
    fix: "Set request_timeout to some seconds; it covers the request only, and cuts no event stream.",
  },
];

export function connectionFindings(world: World): Finding[] {
  const ofManagers = guardedManagers(world).flatMap(({ fields, place }) =>
    RULES.filter(({ isFault }) => isFault(fields)).map(({ rule, severity, message, fix }) => ({
      ...{ rule, severity, place, message, fix },
    })),
  );
  const ofRoutes = guardsInUse(world).flatMap((guard) =>
    guard.routes.filter((route) => runsOn(guard.filter, route)).flatMap((route) => routeFindings(world, guard, route)),
  );
  return [...ofManagers, ...ofRoutes];
}

const DEFAULT_STREAM_IDLE_MS = 300_000;
const SAFE_RETRIES = new Set(["connect-failure", "refused-stream", "reset-before-request"]);

function routeFindings(world: World, guard: Guard, { fields, place, levels }: Route): Finding[] {
  const action = at(fields, "route");
  const found: Finding[] = [];
  const add = (rule: string, severity: Severity, [message, fix]: readonly [string, string]) =>
    found.push({ rule, severity, place, message, fix });
  const timeout = millisecondsAt(action, "timeout");
  if (timeout !== 0)
    add("route-timeout", "low", [
      `The route ends each answer after ${timeout === null ? "Envoy's default of 15" : timeout / 1000} s: it cuts event streams and long calls.`,
      "Set timeout: 0s, and max_stream_duration in its place.",
    ]);
  idleFindings(world, { guard, action, isDirect: isDirect(fields) }, add);
  if (listAt(action, "upgrade_configs").some((upgrade) => at(upgrade, "enabled") !== false))
    add("upgrade", "medium", [
      "The route lets an upgrade (websocket, CONNECT) through: after one, nothing that is sent is checked.",
      "Remove upgrade_configs from the route.",
    ]);
  if (hasAt(action, "internal_redirect_policy"))
    add("internal-redirect", "high", [
      "Envoy follows a redirect of the server by itself, with the headers of the request: a server can send a caller's credential elsewhere.",
      "Remove internal_redirect_policy from the route.",
    ]);
  const policy = [action, ...levels.slice(1)]
    .map((level) => at(level, "retry_policy"))
    .find((one) => one !== undefined);
  const retried = textAt(policy, "retry_on")
    .split(/\s*,\s*/)
    .filter((one) => one !== "" && !SAFE_RETRIES.has(one));
  if (retried.length > 0 && numberAt(policy, "num_retries") !== 0)
    add("retries", "low", [
      `A call that the server may have done already is sent again (retry_on: ${retried.join(", ")}).`,
      "Retry on connect-failure and refused-stream only, or not at all.",
    ]);
  return found;
}

type Add = (rule: string, severity: Severity, texts: readonly [string, string]) => void;

/** The Check's word for a server without the broker: it keeps no stream by comments, and has a timeout of its own. */
function isDirect(route: Fields): boolean {
  const words = [
    ...listAt(route, "match", "dynamic_metadata").map((matcher) => textAt(matcher, "value", "string_match", "exact")),
    ...listAt(route, "match", "headers").map((header) => textAt(header, "string_match", "exact")),
  ];
  return words.some((word) => word.startsWith("server:"));
}

interface Idle {
  readonly guard: Guard;
  readonly action: unknown;
  readonly isDirect: boolean;
}

function idleFindings({ expected }: World, { guard, action, isDirect }: Idle, add: Add): void {
  const own = millisecondsAt(action, "idle_timeout");
  const idle = own ?? millisecondsAt(guard.manager.fields, "stream_idle_timeout") ?? DEFAULT_STREAM_IDLE_MS;
  if (!isDirect && idle > 0 && idle <= expected.silenceMs)
    add("stream-idle", "low", [
      `A stream that is silent for ${idle / 1000} s is cut, and a comment that keeps it comes every ${expected.silenceMs / 1000} s (limits.keepAliveSeconds).`,
      "Set idle_timeout of the route above that.",
    ]);
  const duration = millisecondsAt(action, "max_stream_duration", "max_stream_duration");
  const all = millisecondsAt(guard.manager.fields, "common_http_protocol_options", "max_stream_duration");
  if (idle === 0 && (duration ?? all ?? 0) === 0)
    add("stream-unbounded", "low", [
      "A stream may stay open and silent for ever: nothing ends what a client or a server has forgotten.",
      "Set idle_timeout or max_stream_duration on the route.",
    ]);
}
