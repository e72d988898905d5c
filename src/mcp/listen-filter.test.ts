import { expect, it } from "vitest";
import { MAX_WATCHED } from "./listen-filter.ts";
import { readOperation } from "./read-operation.ts";

const META = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": {},
};
const HEADERS = new Map([
  ["mcp-protocol-version", "2026-07-28"],
  ["mcp-method", "subscriptions/listen"],
]);

function read(notifications: unknown) {
  const params = { notifications, _meta: META };
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "subscriptions/listen", params });
  return readOperation(Buffer.from(body), { get: (name) => HEADERS.get(name), repeated: () => false });
}

it.each([
  undefined,
  null,
  [],
  "x",
  { toolsListChanged: 1 },
  { resourceSubscriptions: "x" },
  { resourceSubscriptions: [1] },
  { taskIds: {} },
])("a filter of %j is refused", (filter) => {
  expect(read(filter)).toMatchObject({ ok: false, fault: { reason: "params_invalid" } });
});

it("names are there once each, in their order, and not beyond their bound", () => {
  const many = Array.from({ length: MAX_WATCHED + 1 }, (_, i) => `docs://${i}`);
  const watched = (filter: object) => {
    const operation = read(filter);
    return operation.ok ? operation.operation.watched : operation.fault;
  };
  expect(watched({})).toEqual({ uris: [], taskIds: [] });
  expect(watched({ resourceSubscriptions: ["b", "a", "b"], taskIds: ["t"] })).toEqual({
    uris: ["b", "a"],
    taskIds: ["t"],
  });
  expect(watched({ resourceSubscriptions: many })).toEqual({ uris: many.slice(0, MAX_WATCHED), taskIds: [] });
});
