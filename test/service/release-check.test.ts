import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, it } from "vitest";
import { baseImages, composeImages, isPinned, releaseFaults } from "../../tools/release-check.ts";

const root = resolve(import.meta.dirname, "../..");
const user = "65532:65532";

it.each([
  ["an image of ours", { User: user, Labels: { "org.opencontainers.image.title": "mcp-authz" } }, 0],
  ["no labels at all", { User: user, Labels: null }, 0],
  ["a stand-in", { User: user, Labels: { "org.mcp-authz.stand-in": "node-distroless" } }, 1],
  ["a stand-in whose label says nothing", { User: user, Labels: { "org.mcp-authz.stand-in": "" } }, 1],
  ["root, unsaid", { Labels: {} }, 1],
  ["root by name", { User: "root", Labels: {} }, 1],
  ["root by number", { User: "0:0", Labels: {} }, 1],
  ["a stand-in and root", { User: "", Labels: { "org.mcp-authz.stand-in": "x" } }, 2],
])("%s", (_, Config, faults) => expect(releaseFaults({ Config })).toHaveLength(faults));

it("looks at every image that the Dockerfile copies from", () => {
  expect(baseImages(readFileSync(resolve(root, "Dockerfile"), "utf8"))).toEqual([
    "node:24-slim",
    "gcr.io/distroless/nodejs24-debian13:nonroot",
    expect.stringMatching(/^openpolicyagent\/opa:[\d.]+-static$/),
  ]);
});

it("looks at every image that docker-compose.yml takes from a registry, and at none that is built here", () => {
  const compose = readFileSync(resolve(root, "docker-compose.yml"), "utf8");
  expect(composeImages(compose)).toEqual([
    expect.stringMatching(/^openbao\/openbao:/),
    expect.stringMatching(/^envoyproxy\/envoy:v/),
  ]);
  expect(compose.match(/^ +image: /gm)).toHaveLength(4); // those, and two that are built here
});

const digest = `sha256:${"0".repeat(64)}`;
it.each([
  [`node:24-slim@${digest}`, true],
  [`mirror.example.com:5000/node@${digest}`, true],
  ["node:24-slim", false],
  ["node", false],
  ["node:24-slim@sha256:0", false],
  [`node:24-slim@${digest}0`, false],
  [`node@sha256:${"G".repeat(64)}`, false],
  [digest, false],
])("%s is named by digest: %s", (image, pinned) => expect(isPinned(image)).toBe(pinned));

it("a release by tags is refused", () => {
  const { NODE_IMAGE: _, ...env } = process.env;
  const run = spawnSync(process.execPath, [resolve(root, "tools/release-check.ts"), "mcp-authz:none"], {
    encoding: "utf8",
    env,
  });
  expect([run.status, run.stderr]).toEqual([1, expect.stringMatching(/refused: node:24-slim is named by tag/)]);
  expect(run.stderr).toMatch(/refused: envoyproxy\/envoy:\S+ is named by tag/);
});

it("every Python package of the tests is named with its hashes", () => {
  const text = readFileSync(resolve(root, "test/e2e/python/requirements.txt"), "utf8").replaceAll("\\\n", "");
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  expect(lines.length).toBeGreaterThan(20);
  for (const line of lines) expect(line).toMatch(/^[\w.-]+==[\w.]+( +--hash=sha256:[0-9a-f]{64})+ *$/);
  expect(readFileSync(resolve(root, "tools/install-tools.ts"), "utf8")).toContain('"--require-hashes"');
});
