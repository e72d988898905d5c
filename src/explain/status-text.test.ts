import { expect, it } from "vitest";
import type { BrokerStatus, UpstreamStatus } from "../catalog/status.ts";
import { statusText } from "./status-text.ts";

const upstream = (server: string, more: Partial<UpstreamStatus> = {}): UpstreamStatus => ({
  ...{
    server,
    state: "healthy",
    error: null,
    lastError: null,
    ageSeconds: 12,
    isShown: true,
    breaker: "closed",
    direct: [],
    incomplete: {},
  },
  entries: { tools: 117, prompts: 0, resources: 3, templates: 1 },
  ...{ dropped: {}, changed: {} },
  ...more,
});
const status = (upstreams: UpstreamStatus[], more: Partial<BrokerStatus> = {}): BrokerStatus => ({
  ...{ ready: true, catalog: "r", upstreams, notes: {} },
  ...more,
});

it("CL-11: a line for each server, and below it what was left out by reason and name", () => {
  const names = ["Create CIFS Share", "b", "c", "d", "e", "f"];
  const text = statusText(
    status(
      [
        upstream("github", {
          dropped: { name: { count: 6, names } },
          changed: { text_cut: { count: 1, names: ["a"] } },
          incomplete: { tools: "cursor_repeats" },
        }),
        upstream("docs", {
          ...{ state: "unhealthy", error: "ECONNREFUSED", lastError: { error: "ECONNREFUSED", ageSeconds: 1 } },
          ageSeconds: 300,
        }),
        upstream("old", { state: "unhealthy", error: "timeout", ageSeconds: 8000, isShown: false, breaker: "open" }),
        upstream("new", {
          state: "waiting",
          ageSeconds: null,
          isShown: false,
          lastError: { error: "x", ageSeconds: 200 },
        }),
      ],
      { notes: { disabled: ["a", "b"], none: [] } },
    ),
  );
  expect(text.split("\n")).toEqual([
    "SERVER  STATE      TOOLS  PROMPTS  RESOURCES  TEMPLATES  LISTED     LAST ERROR",
    "github  healthy    117    0        3          1          12 s ago   -",
    "  tools were not read to their end: cursor_repeats",
    "  left out, name: 6 (Create CIFS Share, b, c, d, e, …)",
    "  changed, text_cut: 1 (a)",
    "docs    unhealthy  117    0        3          1          5 min ago  ECONNREFUSED",
    "  its old list is shown",
    "old     unhealthy  117    0        3          1          2 h ago    timeout",
    "  its old list is too old to be shown",
    "  its calls failed and are refused for now",
    "new     waiting    117    0        3          1          never      x (3 min ago)",
    "disabled: a, b",
    "",
  ]);
});

it("says when the broker is not ready, and prints nothing that a terminal obeys", () => {
  const text = statusText(status([upstream("a\u001b[2J\u009b8m")], { ready: false }));
  expect(text).toMatch(/^The broker is not ready/);
  expect(text).not.toMatch(/[^\P{Cc}\n]/u);
});
