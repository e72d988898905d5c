// Both wire stacks make the same of each input: a short form of `npm run fuzz:stacks` (decision record 011).
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createRandom } from "../random.ts";
import { openPair, type Pair } from "./compare-stacks.ts";
import { fixedInputs } from "./fixed-inputs.ts";
import { checkBytes } from "./generate-check.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-stacks-"));
let pair: Pair;
beforeAll(async () => {
  pair = await openPair(folder, "a");
});
afterAll(async () => {
  await pair.close();
  rmSync(folder, { recursive: true, force: true });
});

async function endingsOf(inputs: Iterable<Buffer>): Promise<ReadonlySet<string>> {
  const endings = new Set<string>();
  for (const bytes of inputs) {
    const { difference, ended } = await pair.compare(bytes);
    expect(difference, bytes.toString("base64")).toBeNull();
    endings.add(ended);
  }
  return endings;
}

it("P7: the kept inputs of the fuzz targets", { timeout: 180_000 }, async () => {
  const inputs = fixedInputs();
  expect(inputs.length).toBeGreaterThan(400);
  expect(await endingsOf(inputs)).toContain("body_malformed");
});

it("P7: generated Checks, among them allows and refusals of each step", { timeout: 180_000 }, async () => {
  const random = createRandom(3);
  const endings = await endingsOf(Array.from({ length: 2000 }, () => checkBytes(random)));
  for (const ended of ["allow", "policy_denied", "public", "token_invalid", "header_malformed", "body_malformed"])
    expect(endings).toContain(ended);
});
