import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { runMain } from "./command.ts";
import { COMMANDS } from "./commands.ts";

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
    [["check-config"], /an argument is missing/],
  ])("%j", async (argv, says) => {
    expect(await run(...argv)).toBe(2);
    expect(err.join("\n")).toMatch(says);
  });
});
