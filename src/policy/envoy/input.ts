// The input of a policy of the form of opa-envoy-plugin (docs/opa-envoy.md): its members, with ours beside them. Pure.
import { hostName } from "../../authz/endpoint.ts";
import type { HostQuestion } from "../../authz/host-decision.ts";
import { pass, refuse, type Step } from "../../authz/step.ts";
import type { PolicyCaller, PolicyRequest } from "../../authz/types.ts";
import { isObject } from "../../json/object.ts";
import type { JsonObject, JsonValue } from "../../json/types.ts";
import { describeBody } from "./body.ts";
import { parseQuery } from "./query.ts";

/** The plugin's members, and the verified caller and the time as our own policies have them. */
export interface HostInput {
  readonly attributes: JsonObject;
  readonly parsed_path: readonly string[];
  readonly parsed_query: JsonObject;
  readonly parsed_body: JsonValue;
  readonly truncated_body: boolean;
  readonly source_principal?: string;
  readonly version: typeof VERSION;
  /** Absent where nothing was presented. */
  readonly identity?: PolicyCaller;
  readonly request: PolicyRequest;
}

const VERSION = { ext_authz: "v3", encoding: "protojson" } as const;

/** Makes the input. @param takesCut true if policy reads `truncated_body`; else such a body is refused */
export function hostInput({ request, caller, described, hidden }: HostQuestion, takesCut: boolean): Step<HostInput> {
  const attributes = request.attributes?.() ?? null;
  if (attributes === null) return refuse("header_malformed", "CheckRequest: its attributes");
  const path = parsedPath(request.path);
  const query = parseQuery(request.query ?? "");
  if (path === null) return { ...refuse("header_malformed", "path"), about: "the path is not UTF-8" };
  if (query === null) return { ...refuse("header_malformed", "query"), about: "the query has no one reading" };
  const body = describeBody(request, takesCut);
  if (!body.ok) return body;
  const { principal = "" } = request;
  return pass({
    attributes: withHttp(attributes, { ...httpOf(request, hidden), ...body.value.raw }),
    parsed_path: path,
    parsed_query: query,
    parsed_body: body.value.parsed,
    truncated_body: body.value.truncated,
    ...(principal !== "" && { source_principal: principal }),
    version: VERSION,
    ...(caller !== null && { identity: caller }),
    request: described,
  });
}

/** The parts of a path without percent escapes. */
function parsedPath(path: string): string[] | null {
  try {
    return decodeURIComponent(path).replace(/^\/+/, "").split("/");
  } catch {
    return null;
  }
}

/** A credential of the caller's for this gateway: its scheme stays. */
const VERIFIED = "(verified)";

/** Where headers say the host again. */
const HOST_HEADERS: ReadonlySet<string> = new Set([":authority", "host"]);

/** The host has one form, as where it was found: a rule that names one to deny it meets each that a client writes. */
function httpOf(
  { method, path, query, host, headers }: HostQuestion["request"],
  hidden: ReadonlySet<string>,
): JsonObject {
  const name = hostName(host);
  const shown = [...headers.names()].map((header) => {
    const value = headers.get(header) ?? "";
    if (HOST_HEADERS.has(header)) return [header, name] as const;
    return [
      header,
      hidden.has(header) ? `${/^(?:bearer|dpop|basic) /i.exec(value)?.[0] ?? ""}${VERIFIED}` : value,
    ] as const;
  });
  return { method, path: query === null ? path : `${path}?${query}`, host: name, headers: Object.fromEntries(shown) };
}

function withHttp(attributes: JsonObject, own: JsonObject): JsonObject {
  const request = objectOf(attributes["request"]);
  return { ...attributes, request: { ...request, http: { ...objectOf(request["http"]), ...own } } };
}

function objectOf(value: JsonValue | undefined): JsonObject {
  return isObject(value) ? value : {};
}
