import { describe, expect, it } from "vitest";
import { findTool } from "../files/program.ts";
import { compileData, compilePolicy } from "./compile.ts";
import { readData } from "./data.ts";
import { findOpa } from "./opa.ts";

const opa = findTool("opa");

describe.skipIf(opa === null)("F16: built-ins that read texts otherwise in WASM", () => {
  it.each([
    ["to_number(x) <= 1000", /is_number/],
    ["json.unmarshal(x)", /is_object/],
    ["json.is_valid(x)", /is_object/],
    ['base64.decode(x) == "a"', /base64\.encode/],
    ["base64.is_valid(x)", /base64\.encode/],
    ['base64url.decode(x) == "a"', /base64url\.encode/],
  ])("%s does not compile, and the error says what to write instead", async (condition, instead) => {
    const text = `package mcp.authz\n\nallow if {\n\tx := input.mcp.arguments.x\n\t${condition}\n}\n`;
    const compiled = compilePolicy({ files: [{ path: "p.rego", text }], rego: "v1", findOpa });
    await expect(compiled).rejects.toThrow(instead);
    await expect(compiled).rejects.toThrow(/undefined function/);
  });
});

describe("much data, which a thread reads", () => {
  const text = `grants:\n${Array.from({ length: 1000 }, (_, i) => `  group${i}: {demo: [echo, "search_*"]}\n`).join("")}`;

  it("is the same text", async () => {
    const files = [{ path: "data.yaml", text }];
    expect(text.length).toBeGreaterThan(32 * 1024);
    expect(await compileData(files)).toBe(readData(files));
  });

  it("is refused with the same error", async () => {
    const files = [{ path: "data.yaml", text: `${text}  other: on\n` }];
    await expect(compileData(files)).rejects.toMatchObject({
      code: "data_invalid",
      lines: [expect.stringMatching(/^data\.yaml:1002: on is one thing/)],
    });
  });
});
