// Filters beside ext_authz that undo it: before it, after it, or where one is missing. Pure.
import type { Finding, Severity } from "../finding.ts";
import { at, fieldsOf, hasAt, isTrueAt, listAt, numberAt, textAt, type Fields } from "../fields.ts";
import type { HttpFilter } from "../managers.ts";
import { runsOn } from "../routes.ts";
import { guardsInUse, type Guard, type World } from "../world.ts";

interface Neighbour {
  /** End of the filter's type. */
  readonly type: RegExp;
  readonly stands: "before" | "after" | "anywhere";
  readonly rule: string;
  readonly severity: Severity;
  readonly isFault?: (fields: Fields) => boolean;
  readonly message: string;
  readonly fix: string;
}

const NEIGHBOURS: readonly Neighbour[] = [
  {
    type: /\.http\.cache(?:_v2)?\.v3\.Cache(?:V2)?Config$/,
    stands: "before",
    rule: "cache-before-check",
    severity: "high",
    message: "A cache before ext_authz answers without a check, with what another caller was given.",
    fix: "Remove the cache.",
  },
  {
    type: /\.http\.decompressor\.v3\.Decompressor$/,
    stands: "anywhere",
    rule: "decompressor",
    severity: "high",
    message:
      "The decompressor makes another body of what was sent: one that is too long is cut without a word, one that only says gzip becomes empty.",
    fix: "Remove the decompressor: mcp-authz refuses bodies with a Content-Encoding.",
  },
  {
    type: /\.http\.ext_proc\.v3\.ExternalProcessor$/,
    stands: "after",
    rule: "changed-after-check",
    severity: "high",
    isFault: (fields) => !["", "NONE"].includes(textAt(fields, "processing_mode", "request_body_mode")),
    message: "An external processor after ext_authz can change the body: the server gets another call than was judged.",
    fix: "Put it before ext_authz, or set processing_mode.request_body_mode: NONE.",
  },
  {
    type: /\.http\.(?:mcp_json_rest_bridge|mcp_router|transform|grpc_json_transcoder)\.v3\.\w+$/,
    stands: "after",
    rule: "changed-after-check",
    severity: "high",
    message: "A filter after ext_authz writes the request anew: the server gets another call than was judged.",
    fix: "Take the filter out of this chain.",
  },
  {
    type: /\.http\.mcp\.v3\.Mcp$/,
    stands: "before",
    rule: "mcp-filter",
    severity: "low",
    isFault: (fields) => textAt(fields, "traffic_mode") === "REJECT_NO_MCP",
    message:
      "The mcp filter before ext_authz answers 400 where a client without a token needs the 401 with its challenge.",
    fix: "Set traffic_mode: PASS_THROUGH, or remove the filter: mcp-authz refuses what is not MCP.",
  },
  {
    type: /\.http\.jwt_authn\.v3\.JwtAuthentication$/,
    stands: "before",
    rule: "token-taken",
    severity: "low",
    isFault: (fields) =>
      Object.values(fieldsOf(at(fields, "providers"))).some(
        (provider) => !isTrueAt(provider, "forward") && listAt(provider, "from_headers").length === 0,
      ),
    message: "jwt_authn before ext_authz takes the token off the request: mcp-authz answers 401 to all.",
    fix: "Set forward: true for each provider, or remove the filter: mcp-authz verifies tokens.",
  },
  {
    type: /\.http\.tap\.v3\.Tap$/,
    stands: "anywhere",
    rule: "tap",
    severity: "high",
    message: "A tap writes out requests with their tokens, bodies and credentials.",
    fix: "Remove the tap.",
  },
  {
    type: /\.http\.header_to_metadata\.v3\.Config$/,
    stands: "anywhere",
    rule: "metadata-of-clients",
    severity: "high",
    isFault: (fields) => JSON.stringify(fields).includes('"envoy.filters.http.ext_authz"'),
    message:
      "header_to_metadata writes into the metadata of ext_authz: a client's header names the route that only the Check may name.",
    fix: "Give those rules another metadata_namespace.",
  },
];

export function filterFindings(world: World): Finding[] {
  return guardsInUse(world).flatMap((guard) => [...neighbourFindings(guard), ...bodyLimitFindings(world, guard)]);
}

function neighbourFindings({ manager, index, routes }: Guard): Finding[] {
  return [...manager.filters.entries()].flatMap(([i, filter]) => {
    const place = i < index ? "before" : "after";
    const isRunning = routes.some((route) => runsOn(filter, route));
    return NEIGHBOURS.filter(
      ({ type, stands, isFault }) =>
        isRunning &&
        type.test(filter.type) &&
        (stands === "anywhere" || stands === place) &&
        (isFault?.(filter.fields) ?? true),
    ).map(({ rule, severity, message, fix }) => ({
      ...{ rule, severity, message, fix },
      place: { ...manager.place, filter: filter.name },
    }));
  });
}

const BODY_LIMIT = /\.http\.body_size_limit\.v3\.BodySizeLimit$/;
const BUFFERING = /\.http\.(?:buffer\.v3\.Buffer|mcp\.v3\.Mcp)$/;

/** ext_authz does not count the last frame of an HTTP/2 body, nor what a filter before it has buffered. */
function bodyLimitFindings(world: World, guard: Guard): Finding[] {
  const { manager, index, filter, routes } = guard;
  const limit = numberAt(filter.fields, "with_request_body", "max_request_bytes");
  const buffers = manager.filters.slice(0, index).some(({ type }) => BUFFERING.test(type));
  if (limit === null || (textAt(manager.fields, "codec_type") === "HTTP1" && !buffers)) return [];
  const at = manager.filters.findIndex(({ type }) => BODY_LIMIT.test(type));
  const found = manager.filters[at];
  const place = found === undefined ? guard.place : { ...manager.place, filter: found.name };
  const all = { rule: "body-limit-missing", severity: "high" as const, place };
  const hole = "up to 16 KiB of an HTTP/2 body pass over the limit of ext_authz, unjudged";
  if (found === undefined)
    return [
      {
        ...all,
        message: `No body_size_limit is in the chain: ${hole}.`,
        fix: `Put envoy.filters.http.body_size_limit with max_request_bytes: ${limit} before ext_authz.`,
      },
    ];
  if (at > index)
    return [{ ...all, message: `body_size_limit stands after ext_authz: ${hole}.`, fix: "Put it before ext_authz." }];
  return [...sizeFinding({ found, limit, place }), ...offFindings({ world, guard, found, routes, hole })];
}

function sizeFinding({
  found,
  limit,
  place,
}: {
  found: HttpFilter;
  limit: number;
  place: Finding["place"];
}): Finding[] {
  const bytes = numberAt(found.fields, "max_request_bytes");
  if (bytes !== null && bytes <= limit) return [];
  return [
    {
      rule: "body-limit-large",
      severity: "high",
      place,
      message: `body_size_limit takes ${bytes ?? "any number of"} bytes and ext_authz ${limit}: what is between them can pass over HTTP/2, unjudged.`,
      fix: `Set its max_request_bytes: ${limit}.`,
    },
  ];
}

interface Off {
  readonly world: World;
  readonly guard: Guard;
  readonly found: HttpFilter;
  readonly routes: Guard["routes"];
  readonly hole: string;
}

function offFindings({ world, guard, found, hole }: Off): Finding[] {
  return world.routes
    .filter((route) => route.manager === guard.manager && runsOn(guard.filter, route) && !runsOn(found, route))
    .map(({ place }) => ({
      rule: "body-limit-missing",
      severity: "high" as const,
      place,
      message: `body_size_limit is off on this route: ${hole}.`,
      fix: `Remove \`disabled: true\` from typed_per_filter_config["${found.name}"], or from the filter.`,
    }));
}

/** The one filter after ext_authz that may set headers: none of ours. */
export function writersAfter({ manager, index }: Guard): HttpFilter[] {
  return manager.filters
    .slice(index + 1)
    .filter(
      ({ type, fields }) =>
        type.endsWith(".HeaderMutation") || (hasAt(fields, "credential") && type.includes("credential_injector")),
    );
}
