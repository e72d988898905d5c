import { expect, it } from "vitest";
import type { Config } from "../../config/load.ts";
import { createSessionEnd } from "./sessions.ts";

const server = (more: object = {}) => ({ apiKeys: null, public: false, ...more });
const configOf = (servers: object, identity: object = { apiKeys: [] }) => ({ servers, identity }) as unknown as Config;

it.each<[string, Config, string]>([
  ["nothing", configOf({ a: server(), b: server() }), "at "],
  ["a changed server", configOf({ a: server({ url: "x" }), b: server() }), "at a"],
  ["a server that left", configOf({ a: server() }), "at b"],
  ["a server that came", configOf({ a: server(), b: server(), c: server() }), "at "],
  ["a server whose keys are others", configOf({ a: server({ apiKeys: ["k"] }), b: server() }), "all"],
  ["a server that is public now", configOf({ a: server(), b: server({ public: true }) }), "all"],
  ["other callers", configOf({ a: server(), b: server() }, { apiKeys: [{ name: "k" }] }), "all"],
])("%s ends sessions: %#", (_, next, ended) => {
  const events: string[] = [];
  const end = createSessionEnd(configOf({ a: server(), b: server() }), () => ({
    endAll: () => void events.push("all"),
    endAt: (isGone) => void events.push(`at ${["a", "b"].filter((name) => isGone(name)).join()}`),
  }));
  end(next, new Set(next.servers["a"]?.url === undefined ? [] : ["a"]));
  expect(events).toEqual([ended]);
});
