// The Check that is measured: a tool call of alice, decided by serve.
import { checkBytes, checkCall } from "./grpc-call.ts";
import type { Target } from "./target.ts";

const BODY = JSON.stringify({
  jsonrpc: "2.0",
  id: 7,
  method: "tools/call",
  params: { name: "search_docs", arguments: { query: "how to measure" } },
});

/** With the headers that Envoy sends along. */
export function toolCall(token: string): Buffer {
  return checkBytes({
    path: "/servers/demo/mcp",
    host: "127.0.0.1",
    body: BODY,
    headers: {
      authorization: `Bearer ${token}`,
      accept: "application/json, text/event-stream",
      "user-agent": "bench",
      "mcp-protocol-version": "2025-11-25",
      "x-request-id": "0b0a3b1e-0000-4000-8000-000000000000",
      "x-forwarded-for": "192.0.2.1",
      "x-forwarded-proto": "http",
    },
  });
}

/** The same by the reference wire stack. */
export const decisionByGrpcJsTarget: Target = {
  name: "decision-grpc-js",
  title: "the same by grpc-js",
  against: "decision",
  async start(world) {
    const { child, address } = await world.start("serve", { listen: { authzStack: "grpc-js" } });
    return { child, call: checkCall(address, toolCall(world.token)) };
  },
};

/** Warm token, real policy, static credential, audit to a file. */
export const decisionTarget: Target = {
  name: "decision",
  title: "the full decision, warm",
  against: "noop",
  async start(world) {
    const { child, address } = await world.start("serve");
    return { child, call: checkCall(address, toolCall(world.token)) };
  },
};
