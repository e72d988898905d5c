// The Check that is measured: a tool call of alice, decided by serve.
import { checkBytes, checkCall, requireRefusals } from "./grpc-call.ts";
import type { Target } from "./target.ts";

const bodyOf = (name: string) =>
  JSON.stringify({
    jsonrpc: "2.0",
    id: 7,
    method: "tools/call",
    params: { name, arguments: { query: "how to measure" } },
  });
const BODY = bodyOf("search_docs");

interface CallForm {
  readonly body?: string;
  readonly form?: "map" | "list";
}

/** Checks that must be refused, so that nobody is measured who allows everything. */
export const refusedCalls = (token: string, form: CallForm = {}): readonly Buffer[] => [
  toolCall(token, { ...form, body: bodyOf("delete_everything") }),
  toolCall(`${token.slice(0, -8)}AAAAAAAA`, form),
  toolCall("", form),
];

/** With the headers that Envoy sends along; as the map for those that do not read `header_map`. */
export function toolCall(token: string, { body = BODY, form = "list" }: CallForm = {}): Buffer {
  return checkBytes({
    form,
    path: "/servers/demo/mcp",
    host: "127.0.0.1",
    body,
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
    return { child, call: await checkCall(address, toolCall(world.token)) };
  },
};

/** Warm token, real policy, static credential, audit to a file. */
export const decisionTarget: Target = {
  name: "decision",
  title: "the full decision, warm",
  against: "noop",
  async start(world) {
    const { child, address } = await world.start("serve");
    await requireRefusals(address, refusedCalls(world.token));
    return { child, call: await checkCall(address, toolCall(world.token)) };
  },
};
