// Makes the bytes of CheckRequests: as Envoy sends them, odd ones, and ones that no encoder writes. Pure.
import { codecs, FULL_PROTO } from "../../fakes/check-request.ts";
import { bodyText } from "../generate-json.ts";
import { mutate } from "../mutate.ts";
import type { Random } from "../random.ts";
import { editMessage } from "./wire-edit.ts";

const { request } = codecs(FULL_PROTO);

const METHODS = ["GET", "DELETE", "OPTIONS", "HEAD", "post", ""];
const WELL_KNOWN = "/.well-known/oauth-protected-resource";
const PATHS = ["/servers/s/mcp", "/servers/t/mcp", "/mcp", "/servers/t/mcp?b", WELL_KNOWN, `${WELL_KNOWN}/mcp`];
const ODD_PATHS = ["/servers/s/mcp?a=1", "/servers/x/mcp", "/servers/s/mcp/", "/%6dcp", "/é", ""];
const HOSTS = ["GW.example.com.", "alias.example.com:443", "x", ""];
const NAMES = [
  ...["accept", "Accept", "x-a", "mcp-session-id", "traceparent", "x-request-id", "cookie", "constructor", "toString"],
  ...["0", "10", "2", "X-ENVOY-INTERNAL", "x-authorized-tools", "x-mcp-server", "user-agent", "tracestate", "via"],
];
const VALUES = ["", "a", "application/json", "2", "read", "é", "x".repeat(300), " a ", "\u{1f600}", "Bearer token"];
const ODD_NAMES = [
  ...["mcp-method", "mcp-name", "mcp-protocol-version", "origin", "content-type", "content-length", "x_a", ":path"],
  ...["content-encoding", "x-envoy-auth-partial-body", "é", "\u212a", "", "x authorized", "authorization", "upgrade"],
  ...["access-control-request-method", "x_mcp_server"],
];
const ODD_VALUES = [
  ...["false", "true", "false,true", "application/json", "text/plain", "2025-11-25", "2026-07-28", "2", "tools/call"],
  ...["read", "a\u0000b", "https://gw.example.com", "https://app.example.com", "POST", "Bearer token", "é"],
  ...["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
];
const CALLS = [
  { method: "tools/call", params: { name: "read", arguments: {} } },
  { method: "tools/call", params: { name: "s_read", arguments: { a: [1, 2.5, null], b: "é" } } },
  { method: "tools/list" },
  { method: "prompts/get", params: { name: "p" } },
  { method: "resources/read", params: { uri: "file:///a" } },
  { method: "initialize", params: {} },
  { method: "ping" },
  { method: "no/such" },
];

function bodyOf(random: Random): Buffer {
  const good = () => Buffer.from(JSON.stringify({ jsonrpc: "2.0", id: random.below(9), ...random.pick(CALLS) }));
  const kind = random.below(10);
  if (kind < 6) return good();
  if (kind === 6) return Buffer.from(bodyText(random));
  if (kind === 7) return mutate(good(), random);
  return Buffer.alloc(kind === 8 ? 0 : random.below(40), random.below(256));
}

function linesOf(random: Random): [string, string][] {
  const lines: [string, string][] = [["content-type", "application/json"]];
  if (!random.oneIn(8)) lines.push(["authorization", random.oneIn(12) ? "Bearer other" : "Bearer token"]);
  if (!random.oneIn(6)) lines.push(["x-envoy-auth-partial-body", "false"]);
  for (let i = random.below(random.oneIn(3) ? 6 : 2); i > 0; i -= 1) lines.push(lineOf(random));
  if (random.oneIn(400)) for (let i = 0; i < 210; i += 1) lines.push([`x-${i}`, "v"]);
  return lines;
}

function lineOf(random: Random): [string, string] {
  if (random.oneIn(4)) return [random.pick(ODD_NAMES), random.pick(ODD_VALUES)];
  return [random.pick(NAMES), random.pick(random.oneIn(8) ? ODD_VALUES : VALUES)];
}

/** The usual one, mostly. */
function mostly<T>(usual: T, odd: readonly T[], random: Random): T {
  return random.oneIn(12) ? random.pick(odd) : usual;
}

function headersOf(random: Random): object {
  const lines = linesOf(random);
  const kind = random.below(10);
  if (kind === 0 && random.oneIn(3))
    return random.oneIn(3) ? {} : { headers: Object.fromEntries(lines), header_map: { headers: [] } };
  if (kind < 4) return { headers: Object.fromEntries(lines) };
  const headers = lines.map(([key, value]) =>
    random.oneIn(5) ? { key, value } : { key, raw_value: Buffer.from(value) },
  );
  return { header_map: { headers } };
}

function bodyFields(random: Random, body: Buffer): object {
  const size = random.oneIn(8) ? random.pick([-1, 0, body.length + 1, 2 ** 40, -(2 ** 60), 2 ** 62]) : body.length;
  const kind = random.below(20);
  if (kind === 0) return { size, body: body.toString("utf8") };
  if (kind === 1) return { size, body: "x", raw_body: body };
  if (kind === 2) return { size };
  return { size, raw_body: body };
}

function sourceOf(random: Random): object {
  const kind = random.below(8);
  if (kind === 0) return {};
  if (kind === 1) return { source: { address: { pipe: { path: "/run/x.sock" } } } };
  if (kind === 2) return { source: { address: { socket_address: { address: "é", port_value: 1 } }, service: "x" } };
  return {
    source: { address: { socket_address: { address: "192.0.2.7", port_value: 4711 } }, principal: "spiffe://x" },
  };
}

/** The bytes of one Check. */
export function checkBytes(random: Random): Buffer {
  const http = {
    ...{ id: "1", method: mostly("POST", METHODS, random), host: mostly("gw.example.com", HOSTS, random) },
    ...{ path: mostly(random.pick(PATHS), ODD_PATHS, random), scheme: "http", protocol: "HTTP/1.1" },
    ...headersOf(random),
    ...bodyFields(random, bodyOf(random)),
  };
  const message = {
    attributes: { ...sourceOf(random), request: { time: { seconds: 1 }, http }, context_extensions: { a: "b" } },
  };
  const bytes = request.encode(message);
  const kind = random.below(10);
  if (kind < 6) return bytes;
  if (kind < 9) return editMessage(bytes, random);
  if (random.oneIn(2)) return Buffer.concat([bytes, request.encode(message).subarray(0, random.below(bytes.length))]);
  return mutate(bytes, random);
}
