import { POLICY_BY_TOKEN } from "../../test/fakes/identity.ts";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, it, vi } from "vitest";
import { compiledDemo } from "../../test/fakes/demo-policy.ts";
import { findTool } from "../files/program.ts";
import type { PolicyInput } from "../authz/types.ts";
import { artifact, readBundle, type Artifact } from "./artifact.ts";
import { compilePolicy } from "./compile.ts";
import { readData } from "./data.ts";
import { decide, visible } from "./decision.ts";
import { createEvaluator, UNWATCHED, type Evaluator } from "./evaluator.ts";
import { findOpa } from "./opa.ts";
import { selfTest, tryOut } from "./self-test.ts";
import { LIBRARY_FOLDER, readSources } from "./sources.ts";
import { tar } from "./tar.ts";

const DEMO = resolve(import.meta.dirname, "../../policies/demo/.compiled");
const demo = (data = readData(readSources(join(DEMO, "..")))) => artifact(compiledDemo(), data);
const opa = findTool("opa");
const withOpa = it.skipIf(opa === null);
const root = mkdtempSync(join(tmpdir(), "mcp-authz-evaluator-test-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const INPUT: PolicyInput = {
  identity: {
    issuer: "i",
    subject: "alice",
    username: null,
    groups: ["engineering"],
    scopes: ["a"],
    ...POLICY_BY_TOKEN,
    claims: {},
  },
  mcp: { method: "tools/call", server: "demo", kind: "tool", name: "echo", arguments: {}, version: "2025-11-25" },
  request: { host: "gw", path: "/servers/demo/mcp", sourceIp: "192.0.2.1", time: 1_790_000_000, headers: {} },
};
const withArguments = (value: unknown): PolicyInput => ({
  ...INPUT,
  mcp: { ...INPUT.mcp, arguments: { value, amount: value } as PolicyInput["mcp"]["arguments"] },
});

function compileText(body: string, data = "{}"): Promise<Artifact> {
  const files = [
    { path: "data.json", text: data },
    { path: "policy.rego", text: `package mcp.authz\n${body}\n` },
  ];
  return compilePolicy({ files, rego: "v1", findOpa });
}

function verdict(evaluator: Evaluator, input = INPUT): string {
  const step = decide(evaluator, input);
  return step.ok ? (step.value.allow ? "allow" : "deny") : step.reason;
}

describe("E01, E02: what is not a whole decision with allow === true never allows", () => {
  const whole = { allow: true, scope_insufficient: false, required_scopes: [], reason: null };
  it.each<[string, unknown, string]>([
    ["a whole decision", whole, "allow"],
    ["a denial", { ...whole, allow: false }, "deny"],
    ["undefined", undefined, "policy_unavailable"],
    ["null", null, "policy_unavailable"],
    ["true", true, "policy_unavailable"],
    ["a text", "true", "policy_unavailable"],
    ["one", 1, "policy_unavailable"],
    ["an empty object", {}, "policy_unavailable"],
    ["an empty array", [], "policy_unavailable"],
    ["an array", [true], "policy_unavailable"],
    ["a decision in an array", [whole], "policy_unavailable"],
    ["allow alone", { allow: true }, "policy_unavailable"],
    ["allow as text", { ...whole, allow: "true" }, "policy_unavailable"],
    ["allow as number", { ...whole, allow: 1 }, "policy_unavailable"],
    ["allow as object", { ...whole, allow: { allow: true } }, "policy_unavailable"],
    ["allow as array", { ...whole, allow: [true] }, "policy_unavailable"],
    ["allow as null", { ...whole, allow: null }, "policy_unavailable"],
    ["a key too many", { ...whole, deny: true }, "policy_unavailable"],
    ["allowed, and a scope is missing", { ...whole, scope_insufficient: true }, "policy_unavailable"],
    [
      "allowed, and a log-in is wanted",
      { ...whole, step_up: { acr_values: ["a"], max_age: null } },
      "policy_unavailable",
    ],
    ["no log-in is wanted", { ...whole, step_up: null }, "allow"],
    ...[{}, [], "a", { acr_values: "a", max_age: null }, { acr_values: ["a"] }, { acr_values: ['a"'], max_age: 1 }].map(
      (wanted): [string, object, string] => [
        `a log-in of another form: ${JSON.stringify(wanted)}`,
        { ...whole, allow: false, step_up: wanted },
        "policy_unavailable",
      ],
    ),
    ...[-1, 1.5, "1", 1e300].map((age): [string, object, string] => [
      `a log-in of another age: ${age}`,
      { ...whole, allow: false, step_up: { acr_values: [], max_age: age } },
      "policy_unavailable",
    ]),
    ["scopes as text", { ...whole, required_scopes: "a" }, "policy_unavailable"],
    ["a scope that would break the header", { ...whole, required_scopes: ['a" b'] }, "policy_unavailable"],
    ["an empty scope", { ...whole, required_scopes: [""] }, "policy_unavailable"],
    [
      "too many scopes",
      { ...whole, required_scopes: Array.from({ length: 65 }, (_, i) => `s${i}`) },
      "policy_unavailable",
    ],
    ["a reason of another type", { ...whole, reason: 1 }, "policy_unavailable"],
  ])("%s", (_, result, expected) => {
    const evaluator: Evaluator = {
      revision: "r",
      evaluate: () => result,
      evaluateHost: () => undefined,
      argumentFault: () => "",
      isAuthors: () => true,
      withCatalog: () => evaluator,
    };
    expect(verdict(evaluator)).toBe(expected);
  });

  it.each<[string, unknown]>([
    ["undefined", undefined],
    ["names as an object", { tools: { s: { a: true } }, prompts: {}, resources: {} }],
    ["a name of another type", { tools: { s: ["a", 1] }, prompts: {}, resources: {} }],
    ["a kind missing", { tools: {}, prompts: {} }],
    ["a kind too many", { tools: {}, prompts: {}, resources: {}, all: {} }],
    ["a text", "*"],
  ])("a list that is %s", (_, result) => {
    const evaluator: Evaluator = {
      revision: "r",
      evaluate: () => result,
      evaluateHost: () => undefined,
      argumentFault: () => "",
      isAuthors: () => true,
      withCatalog: () => evaluator,
    };
    expect(visible(evaluator, INPUT)).toMatchObject({ ok: false, reason: "policy_unavailable" });
  });

  it("a long reason is cut before it reaches the audit line", () => {
    const result = { ...whole, reason: "x".repeat(10_000) };
    const evaluator: Evaluator = {
      revision: "r",
      evaluate: () => result,
      evaluateHost: () => undefined,
      argumentFault: () => "",
      isAuthors: () => true,
      withCatalog: () => evaluator,
    };
    const step = decide(evaluator, INPUT);
    expect(step.ok && step.value.note?.length).toBe(500);
  });
});

describe("E03, E05, E06, E16: an evaluation that fails refuses, and its instance is not used again", () => {
  const circle: Record<string, unknown> = {};
  circle["again"] = circle;
  it.each<[string, unknown, RegExp | string, number]>([
    ["E06: a lone surrogate", "\ud800", "illegal string escape character", 1],
    ["E06: a BigInt", 1n, "the evaluation failed: TypeError", 0],
    ["E06: a circle", circle, "the evaluation failed: TypeError", 0],
    ["E05: more than the memory holds", "x".repeat(80 * 1024 * 1024), /failed/, 1],
    ["too deep", JSON.parse(`${"[".repeat(20_000)}${"]".repeat(20_000)}`), /failed|RangeError/, 0],
  ])("%s", (_, value, detail, anew) => {
    const evaluator = createEvaluator(demo(), null, UNWATCHED);
    const instances = vi.spyOn(WebAssembly, "Instance");
    try {
      const step = decide(evaluator, withArguments(value));
      expect(step).toMatchObject({ ok: false, reason: "policy_unavailable" });
      expect(!step.ok && step.detail).toMatch(detail);
      expect(verdict(evaluator)).toBe("allow");
      expect(verdict(evaluator)).toBe("allow");
      expect(instances).toHaveBeenCalledTimes(anew);
    } finally {
      instances.mockRestore();
    }
  });

  withOpa("E03: two rules that disagree", async () => {
    const body = 'allow if input.mcp.name == "echo"\nallow := false if input.mcp.arguments.value == 1';
    const evaluator = createEvaluator(await compileText(body), null, UNWATCHED);
    const step = decide(evaluator, withArguments(1));
    expect(!step.ok && step.detail).toMatch(/policy\.rego:\d+:\d+: var assignment conflict/);
    expect(verdict(evaluator)).toBe("allow");
  });

  it("the next instance is made within the evaluation that failed: its time counts against that caller", () => {
    const instances = vi.spyOn(WebAssembly, "Instance");
    const made: number[] = [];
    const guard = {
      ...UNWATCHED,
      enter: () => instances.mockClear(),
      leave: () => made.push(instances.mock.calls.length),
    };
    try {
      const evaluator = createEvaluator(demo(), null, guard);
      decide(evaluator, withArguments("\ud800"));
      expect(verdict(evaluator)).toBe("allow");
      expect(made).toEqual([1, 0]);
    } finally {
      instances.mockRestore();
    }
  });

  it("a thousand failures in a row leave it as it was", () => {
    const evaluator = createEvaluator(demo(), null, UNWATCHED);
    for (let i = 0; i < 1000; i += 1) expect(verdict(evaluator, withArguments("\ud800"))).toBe("policy_unavailable");
    expect(verdict(evaluator)).toBe("allow");
  });

  const huge = Array.from({ length: 40 }, (_, i) => `${i}${"x".repeat(1024 * 1024)}`);

  it("E05: data beyond the memory is refused at load, in words", () => {
    const data = JSON.stringify({ grants: { engineering: { demo: { tool: huge } } } });
    expect(() => createEvaluator(demo(data), null, UNWATCHED)).toThrow(/data is too large: its 40\.0 MiB/);
  });

  it("M9: a catalogue that does not fit leaves the one before", () => {
    const catalog = (tools: readonly string[]) => ({ servers: { demo: { tools, prompts: [], resources: [] } } });
    const small = createEvaluator(demo(), catalog(["echo"]), UNWATCHED);
    expect(() => small.withCatalog(catalog(huge))).toThrow(/data is too large: its 40\.0 MiB/);
    expect(visible(small, INPUT)).toMatchObject({ ok: true, value: { tools: { demo: ["echo"] } } });
  });
});

describe("E07, E17, E18: nothing, or a strange name, is refused", () => {
  withOpa("by a policy that allows everything", async () => {
    const catalog = { servers: { demo: { tools: ["echo"] } } };
    const evaluator = createEvaluator(await compileText("allow := true"), catalog, UNWATCHED);
    expect(verdict(evaluator)).toBe("allow");
    for (const input of [undefined, null, 0, "", false, {}, []] as unknown[] as PolicyInput[]) {
      expect(decide(evaluator, input)).toMatchObject({ ok: true, value: { allow: false, requiredScopes: null } });
      expect(visible(evaluator, input).ok).toBe(false);
    }
  });

  it("by the demo", () => {
    const evaluator = createEvaluator(demo(), { servers: { demo: { tools: ["echo"] } } }, UNWATCHED);
    for (const server of ["a/b", "../demo", "__proto__", "constructor", "", "demo\0"]) {
      const asked = { ...INPUT, mcp: { ...INPUT.mcp, server } };
      expect(verdict(evaluator, asked)).toBe("deny");
      expect(visible(evaluator, asked)).toMatchObject({ value: { tools: {}, prompts: {}, resources: {} } });
    }
  });
});

describe("E04: a policy that runs away", () => {
  const data = JSON.stringify({ list: Array.from({ length: 1000 }, (_, i) => `v${i}`) });
  const loop = (innermost: string) =>
    `allow if {\n${["a", "b", "c"].map((name) => `\tsome ${name} in data.list`).join("\n")}\n\t${innermost}\n}`;

  withOpa("is stopped in the self-test, while this thread goes on", async () => {
    const runaway = await compileText(loop('contains(a, "-")'), data);
    let ticks = 0;
    const timer = setInterval(() => (ticks += 1), 5);
    await expect(selfTest(runaway, 400)).rejects.toThrow("the self-test failed: no answer within 400 ms");
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(10);
  });

  withOpa("that also fills its memory ends by itself", async () => {
    const greedy = await compileText(loop("concat(a, [b, c]) == input.mcp.name"), data);
    await expect(selfTest(greedy, 60_000)).rejects.toThrow("the self-test failed: opa_malloc: failed");
  });

  it("the guard is told of every evaluation, also of one that fails", () => {
    const calls: string[] = [];
    const evaluator = createEvaluator(demo(), null, {
      ...UNWATCHED,
      enter: () => calls.push("in"),
      leave: () => calls.push("out"),
    });
    decide(evaluator, INPUT);
    decide(evaluator, withArguments("\ud800"));
    visible(evaluator, INPUT);
    expect(calls).toEqual(["in", "out", "in", "out", "in", "out"]);
  });
});

describe("E08, E09: bundles that are refused", () => {
  const wasm = readFileSync(join(DEMO, "policy.wasm"));
  const data = Buffer.from("{}");
  const good = tar([
    ["policy.wasm", wasm],
    ["data.json", data],
  ]);
  const edited = (at: number, text: string) => {
    const copy = Buffer.from(good);
    copy.write(text, at, "latin1");
    return gzipSync(copy);
  };
  const load = async (bytes: Uint8Array) => tryOut(readBundle(bytes));

  it("the good one is not", async () => {
    await expect(load(gzipSync(good))).resolves.toEqual({ allowsStrangers: false });
  });

  it.each<[string, Uint8Array, RegExp]>([
    ["empty", Buffer.alloc(0), /cut off, too large, or not a \.tar\.gz/],
    ["no gzip", Buffer.from("garbage"), /not a \.tar\.gz/],
    ["half of one", gzipSync(good).subarray(0, 5000), /cut off/],
    ["one flipped byte", Buffer.from(gzipSync(good)).fill(0xff, 9000, 9001), /not a \.tar\.gz/],
    ["too large when unpacked", gzipSync(Buffer.alloc(65 * 1024 * 1024)), /too large/],
    ["no archive", gzipSync(Buffer.alloc(4096, 1)), /not a tar archive/],
    ["an archive without an end", gzipSync(good.subarray(0, 512 + 149_504)), /cut off/],
    ["a wrong checksum", edited(0, "Policy"), /not a tar archive/],
    ["a symbolic link", edited(156, "2"), /not a tar archive/],
    ["a size that is no number", edited(124, "zzz"), /not a tar archive/],
    [
      "the same name twice",
      gzipSync(
        tar([
          ["policy.wasm", wasm],
          ["/policy.wasm", wasm],
        ]),
      ),
      /policy\.wasm twice/,
    ],
    ["no policy.wasm", gzipSync(tar([["data.json", data]])), /no policy\.wasm/],
    ["something else in policy.wasm", gzipSync(tar([["policy.wasm", data]])), /not WebAssembly/],
    ["another module", gzipSync(tar([["policy.wasm", Buffer.from("\0asm\u0001\0\0\0")]])), /not made by opa build/],
    [
      "data that is no JSON",
      gzipSync(
        tar([
          ["policy.wasm", wasm],
          ["data.json", Buffer.from("{")],
        ]),
      ),
      /JSON/,
    ],
    [
      "data that is no object",
      gzipSync(
        tar([
          ["policy.wasm", wasm],
          ["data.json", Buffer.from("[1]")],
        ]),
      ),
      /not an object/,
    ],
    [
      "the catalogue",
      gzipSync(
        tar([
          ["policy.wasm", wasm],
          ["data.json", Buffer.from('{"catalog":{}}')],
        ]),
      ),
      /catalog is reserved/,
    ],
  ])("%s", async (_, bytes, expected) => {
    await expect(load(bytes)).rejects.toThrow(expected);
  });

  const built = (rego: Readonly<Record<string, string>>, entrypoints: readonly string[]): Uint8Array => {
    const folder = mkdtempSync(join(root, "b-"));
    cpSync(LIBRARY_FOLDER, join(folder, "mcp_authz"), { recursive: true });
    mkdirSync(join(folder, "policy"));
    for (const [name, text] of Object.entries(rego)) writeFileSync(join(folder, "policy", name), text);
    const args = ["build", "-t", "wasm", "--prune-unused", "--ignore", "*_test.rego", "-o", "b.tar.gz"];
    execFileSync(opa ?? "", [...args, ...entrypoints.flatMap((name) => ["-e", name]), "mcp_authz", "policy"], {
      cwd: folder,
    });
    return readFileSync(join(folder, "b.tar.gz"));
  };
  const both = ["mcp_authz/decision", "mcp_authz/visible"];
  it.skipIf(opa === null).each<[string, string, readonly string[], RegExp]>([
    [
      "E10: http.send",
      'allow if http.send({"url": "http://127.0.0.1/", "method": "get"}).status_code == 200',
      both,
      /not available: http\.send/,
    ],
    [
      "E11: sprintf, which is JavaScript",
      'allow if sprintf("%s", [input.mcp.name]) == "echo"',
      both,
      /not available: sprintf/,
    ],
    [
      "E11: regex.split, which is JavaScript",
      'allow if regex.split("(a+)+$", input.mcp.name)[0] == "x"',
      both,
      /not available: regex\.split/,
    ],
    ["a missing entrypoint", "allow if input.a", ["mcp_authz/decision"], /was not built for mcp-authz/],
    ["another entrypoint", "allow if input.a", ["mcp/authz/allow"], /was not built for mcp-authz/],
  ])("%s", async (_, rule, entrypoints, expected) => {
    const bytes = built({ "a.rego": `package mcp.authz\n${rule}\n` }, entrypoints);
    await expect(load(bytes)).rejects.toThrow(expected);
  });

  it.skipIf(opa === null).each<[string, string, string]>([
    ["a library that answers in another form", '{"allow": false}', "the decision is malformed"],
    [
      "a library that allows everything",
      '{"allow": true, "scope_insufficient": false, "required_scopes": [], "reason": null}',
      "the policy does not refuse an empty request",
    ],
  ])("%s", async (_, decision, expected) => {
    const folder = mkdtempSync(join(root, "l-"));
    writeFileSync(join(folder, "l.rego"), `package mcp_authz\ndecision := ${decision}\nvisible := {}\n`);
    const entrypoints = both.flatMap((name) => ["-e", name]);
    execFileSync(opa ?? "", ["build", "-t", "wasm", ...entrypoints, "-o", "b.tar.gz", "l.rego"], { cwd: folder });
    const bytes = readFileSync(join(folder, "b.tar.gz"));
    await expect(load(bytes)).rejects.toThrow(`the self-test failed: ${expected}`);
  });
});

describe("P7.3-2, P2.5-1: what a rule may look at", () => {
  const RULES = `
allow if { input.mcp.name == "time"; input.request.time < 1790000001 }
allow if { input.mcp.name == "address"; net.cidr_contains("192.0.2.0/24", input.request.sourceIp) }
allow if { input.mcp.name == "country"; input.request.headers["x-country"] in {"FR", "DE"} }
allow if { input.mcp.name == "device"; input.identity.claims.device.compliant == true }
allow if { input.mcp.name == "roles"; input.mcp.name in input.identity.claims.resource_access[input.mcp.server].roles }
allow if { input.mcp.name == "user"; input.identity.username == "alice" }
allow if { input.mcp.name == "method"; input.mcp.method == "tools/call" }
allow if { input.mcp.name == "arguments"; input.mcp.arguments.value == "yes" }
`;
  withOpa("is there, and refuses when it differs or is missing", async () => {
    const evaluator = createEvaluator(await compileText(RULES), null, UNWATCHED);
    const { identity, mcp, request } = INPUT;
    const rows: readonly (readonly [string, Partial<PolicyInput>, Partial<PolicyInput>])[] = [
      ["time", {}, { request: { ...request, time: 1_790_000_001 } }],
      ["address", {}, { request: { ...request, sourceIp: "198.51.100.1" } }],
      ["address", {}, { request: { ...request, sourceIp: "no address" } }],
      ["country", { request: { ...request, headers: { "x-country": "FR" } } }, {}],
      [
        "device",
        { identity: { ...identity, claims: { device: { compliant: true } } } },
        { identity: { ...identity, claims: { device: { compliant: "true" } } } },
      ],
      [
        "roles",
        { identity: { ...identity, claims: { resource_access: { demo: { roles: ["roles"] } } } } },
        { identity: { ...identity, claims: { resource_access: { other: { roles: ["roles"] } } } } },
      ],
      ["user", { identity: { ...identity, username: "alice" } }, {}],
      ["method", {}, { mcp: { ...mcp, method: "prompts/get" } }],
      ["arguments", { mcp: { ...mcp, arguments: { value: "yes" } } }, {}],
    ];
    for (const [name, right, wrong] of rows) {
      const asked = (more: Partial<PolicyInput>) => ({ ...INPUT, ...more, mcp: { ...INPUT.mcp, ...more.mcp, name } });
      expect([name, verdict(evaluator, asked(right)), verdict(evaluator, asked(wrong))]).toEqual([
        name,
        "allow",
        "deny",
      ]);
    }
  });
});
