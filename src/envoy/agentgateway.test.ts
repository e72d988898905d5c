// agentgateway's extAuthz as it was recorded (main of 2026-08-21): the shapes in which its Checks differ from Envoy's.
import { describe, expect, it } from "vitest";
import { allowingPorts, checkSettings, THERE } from "../../test/fakes/authz.ts";
import { checkMessage, codecs, FULL_PROTO, type CheckParts } from "../../test/fakes/check-request.ts";
import { someInFlight } from "../../test/fakes/handover.ts";
import { createCheck } from "../authz/check.ts";
import type { Ports } from "../authz/ports.ts";
import { pass } from "../authz/step.ts";
import { Secret } from "../secret/secret.ts";
import { CHECK_CODEC } from "./check-codec.ts";
import { createCheckHandler } from "./check-handler.ts";
import { REFERENCE_CODEC } from "./grpc-js/check-codec.ts";

const { request, response } = codecs(FULL_PROTO);
const BODY = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "read", arguments: {} } });
const CALL = {
  authorization: "Bearer token",
  "content-type": "application/json",
  "mcp-protocol-version": "2025-11-25",
};

describe.each([
  ["http2", CHECK_CODEC],
  ["grpc-js", REFERENCE_CODEC],
])("%s", (_, codec) => {
  async function asked(parts: CheckParts, ports: Partial<Ports> = {}) {
    const reasons: (string | null)[] = [];
    const handler = createCheckHandler({
      check: createCheck(checkSettings(), allowingPorts(ports)),
      codec,
      answers: { publicOrigin: "https://gw.example.com", scopes: [], denial: "jsonrpc" },
      audit: ({ reason }) => (reasons.push(reason), Promise.resolve(true)),
      observe: () => {},
      now: Date.now,
      newRequestId: () => "r",
      inFlight: someInFlight(),
    });
    const headers = { ":method": "POST", ":path": "/servers/s/mcp", ":authority": "gw.example.com", ...CALL };
    const message = checkMessage({ body: BODY, ...parts, headers: { ...headers, ...parts.headers } });
    const bytes = await handler(request.encode(message), { deadlineMs: 1000, onGone: () => {} });
    const seen = response.decode(bytes) as { status: { code: number } | null };
    return [(seen.status?.code ?? 0) === 0, reasons[0] ?? null];
  }

  it("its ordinary call is allowed, with pseudo-headers and without a partial-body header", async () =>
    expect(await asked({})).toEqual([true, null]));

  it.each<[string, CheckParts, string]>([
    [
      "two authorization lines, joined",
      { headers: { authorization: "Bearer token, Bearer other" } },
      "header_malformed",
    ],
    ["the same token twice", { headers: { authorization: "Bearer token, Bearer token" } }, "header_malformed"],
    ["a body that it cut", { size: -1 }, "body_too_large"],
    ["a client's own word on that", { size: -1, headers: { "x-envoy-auth-partial-body": "false" } }, "body_too_large"],
    [
      "no body, as without includeRequestBody",
      { body: "", size: 0, headers: { "content-length": "90" } },
      "body_malformed",
    ],
    ["a client's partial body", { headers: { "x-envoy-auth-partial-body": "true" } }, "body_too_large"],
    [
      "two cookies, two revisions",
      { headers: { "mcp-protocol-version": "2025-11-25, 2025-06-18" } },
      "header_malformed",
    ],
    ["a path with dots", { path: "/x/../servers/s/mcp" }, "route_unknown"],
    ["a path with two slashes", { path: "//servers/s/mcp" }, "route_unknown"],
    ["a lookalike of a managed header", { headers: { x_authorized_tools: "x" } }, "header_malformed"],
    ["an upgrade", { headers: { upgrade: "websocket" } }, "header_malformed"],
  ])("%s: refused", async (_what, parts, reason) => expect(await asked(parts)).toEqual([false, reason]));

  it.each(["Bearer up\n", "", "Bearer a\r\nx: y", "Bearer a\0b", " Bearer up"])(
    "a credential %j, which it would drop and send the client's own, is refused",
    async (text) => {
      const value = new Secret(text);
      const fetchCredential = () =>
        pass({ kind: "static" as const, header: "authorization", value, destination: THERE });
      expect(await asked({}, { fetchCredential })).toEqual([false, "credential_unavailable"]);
    },
  );
});
