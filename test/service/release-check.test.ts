import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, it } from "vitest";
import { baseImages, releaseFaults } from "../../scripts/release-check.ts";

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
