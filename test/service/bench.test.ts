// The benches run: what they measure is said by a person who runs them for long, on a quiet machine.
import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { verdictOf } from "../../bench/check-answer.ts";
import { headerBlocks } from "../../bench/header-blocks.ts";
import { ratios, spreadText } from "../../bench/statistics.ts";
import { isSlower } from "../../bench/verdict.ts";
import { withBlock } from "../../bench/page.ts";
import { codecs, FULL_PROTO } from "../fakes/check-request.ts";

function bench(file: string, ...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [`bench/${file}.ts`, ...args], { encoding: "utf8" });
  return { status, stdout, stderr: stderr.match(/^(?!\(|.*Warning).+/m) };
}

describe("each bench runs, and compares", () => {
  it("bench: the decision beside a server that does nothing", { timeout: 240_000 }, () => {
    const { status, stdout, stderr } = bench("bench", "decision", "--quick");
    expect([status, stderr]).toEqual([0, null]);
    expect(stdout).toMatch(/^\| mcp-authz serve \| \d+ \[\d+–\d+\] \| \*\*\d+\.\d\d/m);
  });

  it("bench: names its rows, and refuses another", () => {
    expect(bench("bench", "--help").stdout).toMatch(/decision[^]*vault[^]*--peer NAME=PATH/);
    expect(bench("bench", "nothing").status).toBe(1);
  });

  it("list: step by step", { timeout: 60_000 }, () => {
    const { status, stdout } = bench("list", "--windows", "1", "--window-ms", "2");
    expect(status).toBe(0);
    expect(stdout).toContain("20 of 200 names shown");
    expect(stdout).toMatch(/^whole Check of a list/m);
  });
});

describe("what an answer says", () => {
  const { response } = codecs(FULL_PROTO);
  it.each([
    [{ status: { code: 0 }, ok_response: {} }, "allow"],
    [{ ok_response: { headers: [{ header: { key: "a", value: "b" } }] } }, "allow"],
    [{ status: { code: 7 } }, "deny"],
    [{ status: { code: 0 }, denied_response: { body: "no" } }, "deny"],
    [{ status: { code: 0 }, ok_response: { headers: [{ header: { key: "k", value: "x".repeat(300) } }] } }, "allow"],
    [{ status: { code: 16, message: "m".repeat(200) }, denied_response: {} }, "deny"],
  ])("%j is %s", (answer, verdict) => expect(verdictOf(response.encode(answer))).toBe(verdict));

  it("nothing is a fault", () => expect(verdictOf(Buffer.alloc(0))).toBe("fault"));
});

it("later header blocks refer to the fields of the first, the last one first", () => {
  const [first, later] = headerBlocks("/p", "h");
  expect(first.subarray(0, 6).toString("latin1")).toBe("\u0083\u0086\u0044\u0002/p");
  expect([...later]).toEqual([0x83, 0x86, 0x80 | 66, 0x80 | 65, 0x80 | 64, 0x80 | 63, 0x80 | 62]);
});

it("windows are compared with those of their round", () => {
  expect(ratios([2, 9, 8], [1, 3, 4])).toEqual([2, 3, 2]);
  expect(spreadText([4, 1, 3, 2], 1)).toBe("3.0 [2.0–4.0]");
});

describe("the short form fails only where every start is slower", () => {
  it.each([
    [[2.6, 2.6, 2.6], true],
    [[2.6, 2.4, 9], false],
    [[1, 1, 1], false],
    [[2.5, 2.5, 2.5], false],
  ])("%j beside 2: %s", (found, slower) => expect(isSlower(found, 2)).toBe(slower));

  it("without a baseline nothing is slower", () => {
    expect(isSlower([9, 9, 9], Number.NaN)).toBe(false);
    expect(isSlower([], 1)).toBe(false);
  });
});

it("a block of a page is renewed, a missing one is a fault", () => {
  const page =
    "a\n<!-- figures: x -->\nold\n<!-- figures: end -->\nb\n<!-- figures: y -->\nkept\n<!-- figures: end -->\n";
  expect(withBlock(page, "x", "$1 new")).toBe(page.replace("old", "$1 new").replace("$1", () => "$1"));
  expect(() => withBlock(page, "z", "")).toThrow("no block z");
});
