// What the terminal of `npm start` says of faults: the fault and its remedy, no log.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { startChild, waitReady } from "../../demo/child.ts";
import { newsOf } from "../../demo/news.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-news-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A program that writes these lines to its log and ends. */
function startOf(...lines: string[]): Promise<void> {
  const args = ["-e", `console.error(${JSON.stringify(lines.join("\n"))}); process.exitCode = 1`];
  const child = startChild({
    name: "serve",
    command: process.execPath,
    args,
    cwd: folder,
    logFile: join(folder, "serve.log"),
  });
  return waitReady(child, "http://127.0.0.1:1/readyz");
}

describe("a part that does not start", () => {
  it("is told by the fault that it names, with the ways out and without its log", async () => {
    const log = ['{"event":"starting"}', "mcp-authz serve: policy.path: p: no opa: run x", "or y", '{"event":"ended"}'];
    await expect(startOf(...log)).rejects.toThrow(/^serve did not start: policy\.path: p: no opa: run x\nor y$/);
  });

  it("is told by the end of its log where it names none", async () => {
    await expect(startOf("Segmentation fault")).rejects.toThrow(/^serve did not start: .*\nSegmentation fault/);
  });
});

describe("an edit of the policy", () => {
  const said = (message: string) =>
    newsOf(JSON.stringify({ event: "policy_not_reloaded", message, live: "x" }), "policies/demo");

  it.each([
    [
      "policy.rego:9: rego_parse_error: unexpected eof (and 3 more lines)",
      "policies/demo/policy.rego:9: rego_parse_error",
    ],
    ["data.yaml:2: on is one thing in YAML 1.1", "policies/demo/data.yaml:2: on is one thing"],
    ["compiling a policy needs opa 1.22.2 or newer, which is not here: run x", "compiling a policy needs opa"],
  ])("that is not taken is told with its place: %s", (message, sentence) => {
    expect(said(message)).toContain(`Policy NOT taken: ${sentence}`);
    expect(said(message)).toContain("The last good policy stays in force.");
  });
});
