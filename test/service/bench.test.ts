// The benches run: what they measure is said by a person who runs them for long, on a quiet machine.
import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";

const SHORT = ["--windows", "1", "--window-ms", "50"];
const RATIO = / of the throughput/;

function bench(file: string, ...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [`bench/${file}.ts`, ...args], { encoding: "utf8" });
  return { status, stdout, stderr };
}

describe("each bench runs, and compares", () => {
  it("bench: decisions against a server that does nothing, the relay against a bare proxy", { timeout: 60_000 }, () => {
    const targets = ["decision", "decision-grpc-js", "vault", "relay", "list-200"]; // another catalogue is the same work
    const { status, stdout, stderr } = bench("bench", ...targets, ...SHORT, "--warm-ms", "50");
    expect([status, stderr.match(/^\w*Error.*/m)]).toEqual([0, null]);
    expect(stdout.match(new RegExp(RATIO, "g"))).toHaveLength(5);
  });

  it("bench relay: its memory over many calls", { timeout: 60_000 }, () => {
    const { status, stdout } = bench("bench", "relay", ...SHORT, "--warm-ms", "50", "--calls", "100");
    expect(status).toBe(0);
    expect(stdout.match(new RegExp(RATIO, "g"))).toHaveLength(1);
    expect(stdout).toMatch(/^RSS of the broker's relay over 100 calls, in steps of 10000: \d+ \d+ MiB$/m);
  });

  it("list: step by step", { timeout: 60_000 }, () => {
    const { status, stdout } = bench("list", "--windows", "1", "--window-ms", "2");
    expect(status).toBe(0);
    expect(stdout).toContain("20 of 200 names shown");
    expect(stdout).toMatch(/^whole Check of a list/m);
  });
});
