// Long messages must not hold up the calls of others: they are read once, or not at all.
import { expect, it } from "vitest";
import { notificationFor } from "./server-requests.ts";

const LEVEL = "io.modelcontextprotocol/logLevel";
const bufferOf = (message: object) => Buffer.from(JSON.stringify({ jsonrpc: "2.0", ...message }));
const log = (level: string, data: unknown = "x") =>
  bufferOf({ method: "notifications/message", params: { level, data } });

function callOf(body: Buffer, session: object | null = null) {
  const call = { body, session, operation: { version: "2026-07-28" } };
  return { call, request: { dialect: { era: "legacy", version: null, session: null } } } as never;
}
const passed = (call: never, data: Buffer, method = "notifications/message") =>
  notificationFor(call, data, { kind: "notification", method, progressToken: null });

it("the body of a call is read once for all messages of its server", () => {
  const body = bufferOf({ params: { _meta: { [LEVEL]: "error" } } });
  const call = callOf(body);
  expect([passed(call, log("info")), passed(call, log("error"))]).toEqual([null, log("error")]);
  body.fill(" "); // whoever reads it again finds nothing
  expect([passed(call, log("info")), passed(call, log("error"))]).toEqual([null, log("error")]);
});

it("a long message is not searched for its level, nor for what it cancels", () => {
  const call = callOf(bufferOf({ params: { _meta: { [LEVEL]: "debug" } } }));
  expect(passed(call, log("error", "x".repeat(64 * 1024)))).toBeNull();
  const requests = { idOf: () => 5, take: () => null };
  const cancel = (pad: string) => bufferOf({ method: "notifications/cancelled", params: { requestId: 1, pad } });
  const inSession = callOf(bufferOf({}), { requests });
  expect(String(passed(inSession, cancel(""), "notifications/cancelled"))).toContain('"requestId":5');
  expect(passed(inSession, cancel("x".repeat(64 * 1024)), "notifications/cancelled")).toBeNull();
});
