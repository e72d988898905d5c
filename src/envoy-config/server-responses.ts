// Filters responses on a direct route as the broker does on relayed calls, in Lua, with the script of the requests. Pure.
// https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_filters/lua_filter
import { REFUSALS } from "../authz/refusal.ts";
import { requestScript } from "./server-requests.ts";
import type { ServerConfig } from "../config/schema.ts";
import { EXT_AUTHZ, typed } from "./values.ts";

const LUA = "envoy.filters.http.lua";
const LUA_TYPE = "envoy.extensions.filters.http.lua.v3";

const { http, message } = REFUSALS.upstream_unavailable;
/** In place of the Check's, which has the id of the request: where that is too long. */
const FAULT = JSON.stringify({
  jsonrpc: "2.0",
  id: null,
  error: { code: http, message, data: { reason: "upstream_unavailable" } },
});

const ORIGIN_HEADER = "x-mcp-origin";
/**
 * Tells Envoy's own responses from a server's: those have their details by now, a server's have none. The route removes what
 * a server says in it before.
 */
export const ORIGIN = {
  response_headers_to_remove: [ORIGIN_HEADER],
  response_headers_to_add: [
    {
      header: { key: ORIGIN_HEADER, value: "%RESPONSE_CODE_DETAILS%" },
      append_action: "OVERWRITE_IF_EXISTS_OR_ADD",
    },
  ],
};

/**
 * Passes results, JSON-RPC errors and Envoy's own responses; any other response, a redirect above all, becomes a 502. A
 * header of the server passes only if it is in `kept`: Envoy and the Check add theirs later.
 */
const SCRIPT = `
local statuses = { ["200"] = true, ["400"] = true, ["404"] = true, ["429"] = true }
local envoys = { ["429"] = true, ["500"] = true, ["502"] = true, ["503"] = true, ["504"] = true }
local by_server = { ["-"] = true, [""] = true, ["via_upstream"] = true }
local media = { ["application/json"] = true, ["text/event-stream"] = true }
local kept = { [":status"] = true, ["content-type"] = true, ["content-length"] = true, ["retry-after"] = true }

local function media_of(headers)
  local value = string.lower(headers:get("content-type") or "")
  local type, parameters = string.match(value, "^([^;%s]*)(.*)$")
  local charset = string.match(parameters, 'charset%s*=%s*"?([^";%s]*)') or "utf-8"
  return media[type] and charset == "utf-8" and not string.find(value, ",") and type
end

local function expected_media(headers)
  local encoding = headers:get("content-encoding") or "identity"
  local passing = by_server[headers:get("${ORIGIN_HEADER}") or ""] and statuses or envoys
  return passing[headers:get(":status")] and encoding == "identity" and media_of(headers)
end

local function fault_of(handle)
  local facts = handle:streamInfo():dynamicMetadata():get("${EXT_AUTHZ}")["mcp"]
  return string.match(facts["fault_status"], "^%d%d%d$"), facts["fault"]
end

function envoy_on_response(handle)
  local headers, others = handle:headers(), {}
  local no_error, expected = pcall(expected_media, headers) -- after an error Envoy would pass the response on as it is
  for name in pairs(headers) do
    if not kept[name] then others[#others + 1] = name end
  end
  for _, name in ipairs(others) do headers:remove(name) end
  headers:replace("cache-control", "no-store")
  if not string.match(headers:get("retry-after") or "", "^%d%d?%d?%d?$") then headers:remove("retry-after") end
  if no_error and expected then return headers:replace("content-type", expected) end
  headers:remove("retry-after")
  local is_told, status, fault = pcall(fault_of, handle)
  if not (is_told and status and fault) then status, fault = "${http}", [==[${FAULT}]==] end
  headers:replace(":status", status)
  headers:replace("content-type", "application/json")
  handle:body(true):setBytes(fault)
end
`;

/** Without a script: each direct route brings it. */
export function serverResponseFilter(): object {
  return typed(LUA, `${LUA_TYPE}.Lua`, {});
}

/** The script, per route. */
export function serverResponses(server: ServerConfig): object {
  const script = requestScript(server) + SCRIPT;
  return {
    typed_per_filter_config: {
      [LUA]: { "@type": `type.googleapis.com/${LUA_TYPE}.LuaPerRoute`, source_code: { inline_string: script } },
    },
  };
}
