import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type * as OpaWasm from "@open-policy-agent/opa-wasm";
import { afterAll, describe, expect, it } from "vitest";
import { findTool } from "../files/program.ts";
import { readBundle } from "./artifact.ts";

// The Rego tests of the library and the demo, in opa's own engine and in WASM, where their rules really run (E14).
const { loadPolicySync } = createRequire(import.meta.url)("@open-policy-agent/opa-wasm") as typeof OpaWasm;
const POLICIES = resolve(import.meta.dirname, "../../policies");
const opa = findTool("opa");
const root = mkdtempSync(join(tmpdir(), "mcp-authz-rego-test-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const run = (...args: readonly string[]) => execFileSync(opa ?? "", args, { cwd: POLICIES, encoding: "utf8" });

/** The entrypoints of all rules `test_…`, found by their text. */
function testRules(folder: string): string[] {
  return readdirSync(join(POLICIES, folder))
    .filter((name) => name.endsWith("_test.rego"))
    .flatMap((name) => {
      const text = readFileSync(join(POLICIES, folder, name), "utf8");
      const path = /^package (\S+)$/m.exec(text)?.[1]?.replaceAll(".", "/") ?? "";
      return [...text.matchAll(/^(test_\w+)/gm)].map((match) => `${path}/${match[1] ?? ""}`);
    });
}

interface Builtin {
  readonly name: string;
}
interface Capabilities {
  readonly builtins: readonly Builtin[];
}
interface Range {
  readonly start: { readonly row: number };
  readonly end: { readonly row: number };
}
interface Coverage {
  readonly files: Readonly<
    Record<string, { readonly covered_lines?: number; readonly not_covered?: readonly Range[] }>
  >;
}

/** Without the words for people. */
function bare(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(bare);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([key]) => key !== "description" && key !== "categories");
  return Object.fromEntries(entries.map(([key, inner]) => [key, bare(inner)]));
}

const folders: readonly (readonly [string, readonly string[]])[] = [
  ["mcp_authz", ["mcp_authz"]],
  ["demo", ["mcp_authz", "demo"]],
];

describe.skipIf(opa === null)("policies", () => {
  it("are formatted, and pass opa's strict check", () => {
    expect(run("fmt", "--list", "mcp_authz", "demo")).toBe("");
    expect(run("check", "--strict", "--capabilities", "capabilities.json", "mcp_authz", "demo")).toBe("");
  });

  it("the list of built-ins says of each what opa says", () => {
    const own = JSON.parse(readFileSync(join(POLICIES, "capabilities.json"), "utf8")) as Capabilities;
    const all = JSON.parse(run("capabilities", "--current")) as Capabilities;
    const known = new Map(all.builtins.map((builtin) => [builtin.name, bare(builtin)]));
    for (const builtin of own.builtins) expect(builtin).toEqual(known.get(builtin.name));
    const refused = [
      "http.send",
      "opa.runtime",
      "print",
      "trace",
      "time.now_ns",
      "sprintf",
      "regex.split",
      "yaml.unmarshal",
      "io.jwt.decode",
      "net.lookup_ip_addr",
      // F16: other results in WASM than in opa's own engine.
      ...["to_number", "json.unmarshal", "json.is_valid", "base64.decode", "base64.is_valid", "base64url.decode"],
    ];
    expect(own.builtins.map(({ name }) => name).filter((name) => refused.includes(name))).toEqual([]);
  });

  describe.each(folders)("%s", (folder, sources) => {
    const rules = testRules(folder);

    it("in opa's own engine, at least 95 % covered", () => {
      expect(rules.length).toBeGreaterThan(5);
      const report = JSON.parse(
        run("test", "--coverage", "--capabilities", "capabilities.json", ...sources),
      ) as Coverage;
      for (const [file, { covered_lines: covered = 0, not_covered: ranges = [] }] of Object.entries(report.files)) {
        if (!file.startsWith(folder)) continue;
        const lines = readFileSync(join(POLICIES, file), "utf8").split("\n");
        // An evaluation that ends there is an error, which no Rego test can have: data-slips.test.ts has them.
        const missed = ranges
          .flatMap(({ start, end }) => lines.slice(start.row - 1, end.row))
          .filter((line) => !/ refused |\bnot are_/.test(line));
        expect([file, missed.length <= covered * 0.05 ? [] : missed]).toEqual([file, []]);
      }
    });

    it("in WASM", () => {
      const out = join(root, `${folder}.tar.gz`);
      const entrypoints = rules.flatMap((name) => ["-e", name]);
      run(
        "build",
        "-t",
        "wasm",
        "--prune-unused",
        "--capabilities",
        "capabilities.json",
        ...entrypoints,
        "-o",
        out,
        ...sources,
      );
      const { wasm, data } = readBundle(readFileSync(out));
      const instance = loadPolicySync(new Uint8Array(wasm), { initial: 16 });
      instance.setData(JSON.parse(data) as object);
      const failed = rules.filter((name) => {
        const [first] = instance.evaluate({ none: true }, name) as { result: unknown }[];
        return first?.result !== true;
      });
      expect(failed).toEqual([]);
    });
  });
});
