// `detail` of a refusal or fault is text for logs and the audit line. Code branches on closed sets only, never on this text.
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, it } from "vitest";

const SRC = resolve(import.meta.dirname, "../../src");
const MODULES = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((name) => /(?<!\.test)\.ts$/.test(name));

/** The places that render `detail` into a log, an error, the audit line or a report. */
const RENDERING = new Set([
  "api/policy.ts",
  "authzen/read-request.ts", // of the sender's own message, for the sender
  "authzen/server.ts",
  "authz/step.ts", // of the sender's own message, for the sender
  "broker/relay/relay.ts",
  "cli/input.ts",
  "cli/lint-envoy.ts",
  "credential/vault/caller-sessions.ts",
  "credential/vault/reports.ts",
  "credential/vault/vault.ts",
  "identity/revocation-lines.ts",
  "jose/compact.ts",
  "jose/key-set.ts",
  "json/parse.ts",
  "mcp/envelope.ts",
  "policy/data.ts",
  "policy/envoy/body.ts",
  "policy/self-test.ts",
]);

const DETAIL = String.raw`(?:\b[\w$]+(?:\??\.[\w$]+|\([^()]*\))*\??\.)?\bdetail\b`;
/** That there is one may be asked, for a separator; what it says may not. */
const BRANCHES = [
  String.raw`${DETAIL}\s*[=!]==?(?!=|\s*(?:undefined|null)\b)`,
  String.raw`(?<!\btypeof )(?:"[^"]*"|[\w$.]+)\s*[=!]==?\s*${DETAIL}(?!\s*:)`,
  String.raw`\bswitch\s*\(\s*${DETAIL}`,
  String.raw`${DETAIL}!?\??\.(?:startsWith|endsWith|includes|match|matchAll|search|indexOf|split|slice|at|charAt|localeCompare)\b`,
  String.raw`\.(?:test|exec|includes|has|get)\(\s*${DETAIL}\s*[,)?]`,
  String.raw`\[\s*${DETAIL}\s*\]`,
].map((pattern) => new RegExp(pattern));

function branchesIn(text: string): string[] {
  const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
  return code.split("\n").filter((line) => BRANCHES.some((pattern) => pattern.test(line)));
}

it("no code branches on detail", () => {
  const found = MODULES.flatMap((name) =>
    branchesIn(readFileSync(join(SRC, name), "utf8")).map((line) => `${name}: ${line.trim()}`),
  );
  expect(found).toEqual([]);
});

it("detail of another's result is read where it is rendered, and nowhere else", () => {
  const readers = MODULES.filter((name) => /\.detail\b/.test(readFileSync(join(SRC, name), "utf8")));
  expect(readers.filter((name) => !RENDERING.has(name))).toEqual([]);
});

it.each([
  'if (!step.ok && step.detail === "kid") {',
  "const hasLeft = refused?.detail === LEFT;",
  'if ("kid" === step.detail) return;',
  "if (LEFT !== refused?.detail) return;",
  "switch (step.detail) {",
  'if (detail !== "kid") return;',
  'if (fault.detail?.startsWith("status")) return;',
  "if (/^status/.test(fault.detail)) return;",
  "if (RETRIED.has(detail)) return;",
  'if (["kid", "time"].includes(step.detail ?? "")) return;',
  "return REMEDIES[step.detail];",
])("%s branches", (line) => expect(branchesIn(line)).toEqual([line]));

it.each([
  "return outcome.detail === undefined ? reason : `${reason}: ${outcome.detail}`;",
  'log.warn("relay_failed", { ...fields, detail: refused.detail ?? "" });',
  "return { ok: false, reason, detail };",
  "...(detail === null ? [] : [step(detail)]),",
  'if (result.reason === "internal") return { reason, detail };',
  'const a = b === c ? { detail: "x" } : null;',
  "// step.detail === 'kid' was here",
])("%s does not", (line) => expect(branchesIn(line)).toEqual([]));
