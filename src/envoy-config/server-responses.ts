// Filters responses on a direct route as the broker does on relayed calls, in Lua, with the script of the requests. Pure.
// https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_filters/lua_filter
import { REFUSALS } from "../authz/refusal.ts";
import { managedHeaders } from "../authz/grant.ts";
import { requestScript } from "./server-requests.ts";
import { credentialPlaces } from "../config/names.ts";
import type { Config, ServerConfig } from "../config/schema.ts";
import { EXT_AUTHZ, luaSet, typed } from "./values.ts";

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

/** Speak for the whole of our origin, to a browser or to a proxy before us: no server says them, `passthrough` or not. */
const SPEAK_FOR_US = [
  ...["location", "refresh", "alt-svc", "clear-site-data", "strict-transport-security", "service-worker-allowed"],
  ...["content-security-policy", "content-security-policy-report-only", "nel", "report-to", "reporting-endpoints"],
  ...["accept-ch", "critical-ch", "set-login", "public-key-pins", "public-key-pins-report-only", "expect-ct"],
  ...["set-cookie", "set-cookie2", "x-request-id", "x-sendfile", "x-lighttpd-send-file", "connection", "upgrade"],
  ...["keep-alive", "proxy-connection", "trailer", "te", "proxy-authenticate", "proxy-authentication-info"],
];
const SPEAK_FOR_US_PREFIXES = ["access-control-", "x-envoy-", "x-mcp-", "mcp-", "x-accel-", "sec-session-"];

/**
 * Passes results, JSON-RPC errors and Envoy's own responses; any other response, a redirect above all, becomes a 502. A
 * header of the server passes only if it is in `kept`: Envoy and the Check add theirs later. With `through` errors and headers
 * of a server pass, but for redirects and what speaks for our origin.
 */
const SCRIPT = `
local statuses = { ["200"] = true, ["400"] = true, ["404"] = true, ["429"] = true }
local envoys = { ["429"] = true, ["500"] = true, ["502"] = true, ["503"] = true, ["504"] = true }
local by_server = { ["-"] = true, [""] = true, ["via_upstream"] = true }
local media = { ["application/json"] = true, ["text/event-stream"] = true }
local our_beginnings = { ${SPEAK_FOR_US_PREFIXES.map((prefix) => `"${prefix}"`).join(", ")} }
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

local function is_ours(name)
  if ours[name] then return true end
  for _, beginning in ipairs(our_beginnings) do
    if string.sub(name, 1, #beginning) == beginning then return true end
  end
  return false
end

local function strip(headers, all_but_kept)
  local others = {}
  for name in pairs(headers) do
    if is_ours(name) or (all_but_kept and not kept[name]) then others[#others + 1] = name end
  end
  for _, name in ipairs(others) do headers:remove(name) end
end

-- Of an error that passes, a browser opens nothing as a page of ours.
local function pass_error(headers)
  strip(headers, false)
  headers:replace("cache-control", "no-store")
  headers:replace("x-content-type-options", "nosniff")
  headers:replace("content-security-policy", "sandbox; default-src 'none'")
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local no_error, expected = pcall(expected_media, headers) -- after an error Envoy would pass the response on as it is
  local says = through and by_server[headers:get("${ORIGIN_HEADER}") or ""]
  if says and not (no_error and expected) and string.match(headers:get(":status"), "^[45]%d%d$") then
    return pass_error(headers)
  end
  strip(headers, not (says and no_error and expected))
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
export function serverResponses(config: Config, server: ServerConfig): object {
  const headers = credentialPlaces(server);
  const ours = [...SPEAK_FOR_US, ...managedHeaders(config.wristband.header, config.routeHeader, headers)];
  const settings = `
local through = ${String(server.passthrough)}
local ours = ${luaSet(server.passthrough ? ours : [])}
`;
  const script = settings + requestScript(server) + SCRIPT;
  return {
    typed_per_filter_config: {
      [LUA]: { "@type": `type.googleapis.com/${LUA_TYPE}.LuaPerRoute`, source_code: { inline_string: script } },
    },
  };
}
