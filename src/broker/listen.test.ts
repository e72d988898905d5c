import { EventEmitter } from "node:events";
import type { ServerResponse } from "node:http";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { JsonObject } from "../json/types.ts";
import { createChangeNotices, type ChangeNotices } from "./change-notices.ts";
import { createListeners, type ListenRequest, type Listeners } from "./listen.ts";

class FakeResponse extends EventEmitter {
  text = "";
  writableEnded = false;
  writableNeedDrain = false;
  writableLength = 0;
  destroyed = false;
  writeHead = () => this;
  write(data: Buffer | string) {
    this.text += data.toString();
    return true;
  }
  end() {
    this.writableEnded = true;
    this.emit("close");
  }
  destroy() {
    this.destroyed = true;
    this.emit("close");
  }
  messages = () => [...this.text.matchAll(/^data: (.*)$/gm)].map(([, json = ""]) => JSON.parse(json) as JsonObject);
}

let notices: ChangeNotices;
let listeners: Listeners;
beforeEach(() => {
  vi.useFakeTimers();
  notices = createChangeNotices();
  const policies = { has: () => true, onChange: () => () => {} };
  const eras = { known: () => null, of: () => Promise.resolve("modern" as const) };
  listeners = createListeners({ notices, policies, eras, keepAliveMs: 15_000, maxPerCaller: 2 });
});
afterEach(() => vi.useRealTimers());

function open(filter: unknown, more: Partial<ListenRequest> = {}) {
  const response = new FakeResponse();
  const step = listeners.open({
    response: response as unknown as ServerResponse,
    id: "sub",
    caller: "alice",
    params: { notifications: filter } as JsonObject,
    offered: new Set(["tools", "resources"] as const),
    concerns: (server) => server === "a",
    offers: () => true,
    watching: null,
    maxMs: 600_000,
    ...more,
  });
  return { response, step };
}
const changed = (server: string | null) => {
  notices.changed({ server, kinds: ["tools", "prompts", "resources"] });
  vi.advanceTimersByTime(1000);
};
const tagged = { _meta: { "io.modelcontextprotocol/subscriptionId": "sub" } };

it("acknowledges what it can tell, then tells only that, each time with the id of the subscription", () => {
  const { response } = open({ toolsListChanged: true, promptsListChanged: true, resourcesListChanged: false });
  changed("other");
  changed("a");
  changed(null);
  const change = { jsonrpc: "2.0", method: "notifications/tools/list_changed", params: tagged };
  expect(response.messages()).toEqual([
    {
      jsonrpc: "2.0",
      method: "notifications/subscriptions/acknowledged",
      params: { notifications: { toolsListChanged: true }, ...tagged },
    },
    change,
    change,
  ]);
});

it("a filter of nothing that can be told is acknowledged and ends in order", () => {
  const { response } = open({ promptsListChanged: true, resourceSubscriptions: ["docs://a"] });
  expect(response.messages()).toMatchObject([
    { method: "notifications/subscriptions/acknowledged", params: { notifications: {} } },
    { id: "sub", result: { resultType: "complete", ...tagged } },
  ]);
  expect([response.writableEnded, listeners.size, notices.size]).toEqual([true, 0, 0]);
});

it("a silent stream shows signs of life, and ends with the caller's token", () => {
  const { response } = open({ toolsListChanged: true }, { maxMs: 40_000 });
  vi.advanceTimersByTime(39_000);
  expect(response.text.match(/^:$/gm)).toHaveLength(2);
  vi.advanceTimersByTime(2000);
  expect(response.messages().at(-1)).toMatchObject({ id: "sub", result: { resultType: "complete" } });
  expect([response.writableEnded, notices.size, vi.getTimerCount()]).toEqual([true, 0, 0]);
});

it("one caller has so many streams; another's do not count, and a stream that ended gives its place", () => {
  const filter = { toolsListChanged: true };
  const first = open(filter);
  open(filter);
  expect(open(filter).step).toMatchObject({ ok: false, reason: "rate_limited" });
  expect(open(filter, { caller: "bob" }).step.ok).toBe(true);
  first.response.destroy();
  expect(open(filter).step.ok).toBe(true);
});

it("a client that does not read is closed", () => {
  const { response } = open({ toolsListChanged: true });
  response.writableLength = 1024 * 1024;
  changed("a");
  expect([response.destroyed, listeners.size]).toEqual([true, 0]);
});

it("at the end each client gets the result of its request", () => {
  const { response } = open({ resourcesListChanged: true }, { id: 7 });
  listeners.endAll();
  expect(response.messages().at(-1)).toMatchObject({ id: 7, result: { resultType: "complete" } });
  expect(listeners.size).toBe(0);
});
