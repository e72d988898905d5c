// D10: the endpoint of a direct server announces the revisions of that server, all others those of the gateway.
import { expect, it } from "vitest";
import type { Operation } from "../mcp/operation.ts";
import { SUPPORTED_VERSIONS } from "../mcp/versions.ts";
import { housekeeping, type BrokerView } from "./housekeeping.ts";

const offers = { tools: true, prompts: false, resources: false, completions: false, logging: false };

function greeted(method: "initialize" | "server/discover", revisions: readonly string[] | null, asked: string) {
  const direct = revisions === null ? null : { revisions, faults: [] };
  const snapshot = { servers: new Map([["s", { direct }]]) };
  const view = { offers, server: "s", snapshot, now: 0 } as unknown as BrokerView;
  const step = housekeeping({ method, version: asked } as unknown as Operation, { protocolVersion: asked }, view);
  return step.ok ? (JSON.parse(step.value) as Record<string, unknown>) : step;
}

it.each<[string, readonly string[] | null, string]>([
  ["2025-03-26", null, "2025-03-26"],
  ["2025-11-25", null, "2099-01-01"],
  ["2025-06-18", ["2026-07-28", "2025-06-18", "2025-03-26"], "2025-11-25"],
  ["2025-03-26", ["2026-07-28", "2025-06-18", "2025-03-26"], "2025-03-26"],
  ["2024-11-05", ["2024-11-05"], "2025-06-18"],
])("initialize: %s of %j, where %s is asked for", (chosen, revisions, asked) => {
  expect(greeted("initialize", revisions, asked)).toMatchObject({ protocolVersion: chosen });
});

it("a server that has no handshake of the older revisions gives none: it names what it speaks", () => {
  expect(greeted("initialize", ["2026-07-28"], "2025-11-25")).toMatchObject({
    ok: false,
    reason: "version_unsupported",
    supported: ["2026-07-28"],
  });
});

it.each([[null], [["2026-07-28"]], [["2025-06-18", "2025-03-26"]]])("server/discover of %j", (revisions) => {
  expect(greeted("server/discover", revisions, "2026-07-28")).toMatchObject({
    supportedVersions: revisions ?? SUPPORTED_VERSIONS,
  });
});
