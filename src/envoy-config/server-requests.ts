// What of a request reaches a direct server, held by Envoy once more, in Lua: the Check's answer removes the same. Pure.
// A regular expression of all other names would be longer than Envoy 1.40 takes without a runtime key.
import { LISTED, SESSION_HEADER } from "../authz/server-headers.ts";
import { headersAmong } from "../authz/credential-parts.ts";
import { placesOf } from "../config/names.ts";
import type { ServerConfig } from "../config/schema.ts";
import { luaSet } from "./values.ts";

/** Envoy's own: it frames and routes by them. Those of one hop are removed by the route (routes.ts). */
const ENVOYS = ["host", "content-length", "transfer-encoding", "connection", "x-forwarded-proto"];

type HeadersOf = Pick<ServerConfig, "headers" | "passHeaders" | "credential">;

/** Lua that removes every header but those of the list, the configuration's, and the credential's. */
export function requestScript({ headers, passHeaders, credential }: HeadersOf): string {
  const credentials = headersAmong(credential.filter(({ kind }) => kind !== "none").flatMap(placesOf));
  const names = [...LISTED.names, ...ENVOYS, ...Object.keys(headers), ...passHeaders, ...credentials];
  const prefixes = [":", ...LISTED.prefixes].map((prefix) => `string.sub(name, 1, ${prefix.length}) == "${prefix}"`);
  return `
local sent = ${luaSet(names)}

function envoy_on_request(handle)
  local headers, others = handle:headers(), {}
  for name in pairs(headers) do
    local listed = sent[name] or ${prefixes.join(" or ")}
    if not listed or name == "${SESSION_HEADER}" then others[#others + 1] = name end
  end
  for _, name in ipairs(others) do headers:remove(name) end
end
`;
}
