// The JSON Schema of the policy input, for `opa check --schema` and editors: the one table of its fields. Pure.
import type { LocalTime } from "../authz/local-time.ts";
import type { PolicyCaller, PolicyOperation, PolicyRequest } from "../authz/types.ts";
import type { HostInput } from "./envoy/input.ts";
import type { PolicySettings } from "./settings.ts";

const TEXT = { type: "string" } as const;
const TEXTS = { type: "array", items: TEXT } as const;
const NUMBER = { type: "number" } as const;
/** opa takes the first of several types for the only one, so it is told none. */
const TEXT_OR_NULL = { description: "a text or null" } as const;
/** Anything may stand in it. */
const OPEN = { type: "object", additionalProperties: true } as const;

/** A field that policy gets has a row here: without one this does not compile. */
const IDENTITY = {
  issuer: TEXT,
  subject: TEXT,
  username: TEXT_OR_NULL,
  groups: TEXTS,
  scopes: TEXTS,
  kind: TEXT,
  method: TEXT,
  amr: TEXTS,
  acr: TEXT_OR_NULL,
  auth_time: { description: "a number or null" },
  claims: OPEN,
} satisfies Record<keyof PolicyCaller, object>;

const MCP = {
  method: TEXT,
  server: TEXT_OR_NULL,
  kind: TEXT_OR_NULL,
  name: TEXT_OR_NULL,
  arguments: OPEN,
  version: TEXT,
} satisfies Record<keyof PolicyOperation, object>;

const REQUEST = {
  host: TEXT,
  path: TEXT,
  sourceIp: TEXT,
  time: NUMBER,
  headers: { type: "object", additionalProperties: TEXT },
} satisfies Record<Exclude<keyof PolicyRequest, "local">, object>;

const LOCAL = { date: TEXT, clock: TEXT, weekday: TEXT } satisfies Record<keyof LocalTime, object>;

/** What a policy of the form of opa-envoy-plugin has beside `identity` and `request`. */
const ENVOY = {
  attributes: OPEN,
  parsed_path: TEXTS,
  parsed_query: { type: "object", additionalProperties: TEXTS },
  parsed_body: { description: "any value" },
  truncated_body: { type: "boolean" },
  source_principal: TEXT,
  version: { type: "object", additionalProperties: TEXT },
} satisfies Record<Exclude<keyof HostInput, "identity" | "request">, object>;

const closed = (properties: object) => ({ type: "object", properties, additionalProperties: false });

/** @param settings `compat` adds `input.auth.identity`, `zones` the members of `input.request.local` */
export function inputSchema({ compat = null, zones = [], envoy = null }: PolicySettings): object {
  const local = closed(Object.fromEntries(zones.map((zone) => [zone, closed(LOCAL)])));
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "the input of a policy of mcp-authz",
    ...closed({
      identity: closed(IDENTITY),
      mcp: closed({ ...MCP, listing: { type: "boolean" } }),
      request: closed({ ...REQUEST, local }),
      ...(compat === "authorino" ? { auth: closed({ identity: OPEN }) } : {}),
      ...(envoy === null ? {} : ENVOY),
    }),
  };
}
