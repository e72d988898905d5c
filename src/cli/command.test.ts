// The command line as a person meets it: help, versions, and what is wrong, with its exit code.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { stringify } from "yaml";
import { runMain } from "./command.ts";
import { COMMANDS } from "./commands.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-command-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let out: string[];
let err: string[];
beforeEach(() => {
  out = [];
  err = [];
  vi.spyOn(console, "log").mockImplementation((text) => void out.push(String(text)));
  vi.spyOn(console, "error").mockImplementation((text) => void err.push(String(text)));
});
afterEach(() => vi.restoreAllMocks());

const run = (...argv: string[]) => runMain(COMMANDS, argv);

describe("--version", () => {
  it.each([["--version"], ["-V"], ["version"], ["serve", "--version"], ["why", "-V"], ["check-config", "--version"]])(
    "%s %s",
    async (...argv) => {
      expect(await run(...argv.filter((part) => part !== undefined))).toBe(0);
      expect(out).toEqual([expect.stringMatching(/^\d+\.\d+\.\d+$/)]);
    },
  );
});

describe("help", () => {
  it.each([["--help"], ["-h"], ["help"]])("%s lists every command", async (word) => {
    expect(await run(word)).toBe(0);
    for (const name of Object.keys(COMMANDS)) expect(out.join()).toMatch(new RegExp(`^  ${name} `, "m"));
  });

  it.each(Object.keys(COMMANDS))(
    "%s --help names its options, each on a line of its own, in 130 columns",
    async (name) => {
      const { command } = await COMMANDS[name]!();
      expect(await run(name, "--help")).toBe(0);
      const text = out.join();
      for (const option of Object.keys(command.options)) expect(text).toMatch(new RegExp(`^  .*--${option}\\b`, "m"));
      expect(text).toContain(`Usage: mcp-authz ${name}`);
      for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(130);
      out.length = 0;
      expect(await run("help", name)).toBe(0);
      expect(out.join()).toBe(text);
    },
  );
});

describe("a command line that is wrong ends with 2 and says what", () => {
  it.each<[string[], RegExp]>([
    [[], /^$/],
    [["sevre"], /unknown command "sevre"/],
    [["constructor"], /unknown command/],
    [["serve", "--log-level", "loud"], /--log-level is one of debug, info, warn, error/],
    [["broker", "--log-level", ""], /--log-level is one of/],
    [["serve", "--nope"], /--nope/],
    [["serve", "extra"], /unexpected argument "extra"/],
    [["check-config"], /an argument is missing: FILE/],
    [["build-policy", "-o", "x.tar.gz"], /an argument is missing: DIR/],
  ])("%j", async (argv, says) => {
    expect(await run(...argv)).toBe(2);
    expect(err.join("\n")).toMatch(says);
  });
});

describe("a value that is wrong ends with 2 and one sentence, without the usage", () => {
  const config = join(folder, "mcp-authz.yaml");
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  beforeEach(() => {
    const identity = {
      issuers: [{ issuer: "https://idp.example.com", audiences: ["https://gw.example.com"], algorithms: ["ES256"] }],
    };
    file(
      "mcp-authz.yaml",
      stringify({
        publicOrigin: "https://gw.example.com",
        identity,
        policy: { path: "policies" },
        wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k", file: "w.pem" }] },
        servers: { demo: { url: "https://demo.example.com/mcp", credential: [{ none: {} }] } },
      }),
    );
  });
  const call = (...more: string[]) => ["--config", config, "--tool", "echo", ...more];
  const token = () => ["--token-file", file("token", "x")];

  it.each<[string, () => string[], RegExp]>([
    ["a server that is not there", () => call(...token(), "--server", "nope"), /--server must be one of: demo$/],
    [
      "arguments that are no JSON",
      () => call(...token(), "--server", "demo", "--args", "{a:1}"),
      /--args is not JSON: .*'\{"a": 1\}'/,
    ],
    [
      "a token file that is not there",
      () => call("--server", "demo", "--token-file", join(folder, "none")),
      /none cannot be read \(ENOENT\): create it/,
    ],
    [
      "a token file that is a folder",
      () => call("--server", "demo", "--token-file", folder),
      /cannot be read \(EISDIR\): it is a folder/,
    ],
    [
      "an empty token file",
      () => call("--server", "demo", "--token-file", file("empty", "\n")),
      /empty is empty: put an access token into it/,
    ],
  ])("%s", async (_, argv, says) => {
    for (const name of ["input", "why"]) {
      expect(await run(name, ...argv())).toBe(2);
      expect(err.join("\n")).toMatch(says);
      expect(err.join("\n")).toMatch(new RegExp(`^mcp-authz ${name}: `));
      expect(err.join("\n").split("\n")).toHaveLength(1);
      err.length = 0;
    }
  });
});

describe("what a policy author asks for", () => {
  it("the schema of the input, and the built-ins", async () => {
    expect(await run("policy-schema", "--compat", "authorino")).toBe(0);
    expect(JSON.parse(out.join())).toMatchObject({ properties: { auth: {}, identity: {}, mcp: {}, request: {} } });
    out = [];
    expect(await run("policy-capabilities")).toBe(0);
    const { builtins } = JSON.parse(out.join()) as { builtins: { name: string }[] };
    expect(builtins.map(({ name }) => name)).not.toContain("time.now_ns");
    expect(await run("policy-schema", "--compat", "x")).toBe(2);
  });
});
