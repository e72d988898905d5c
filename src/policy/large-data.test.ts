// Megabytes of data: bounded in size, time and memory, and refused with the limit.
import { expect, it } from "vitest";
import { compiledDemo } from "../../test/fakes/demo-policy.ts";
import { artifact } from "./artifact.ts";
import { createEvaluator, UNWATCHED } from "./evaluator.ts";
import { MAX_YAML_BYTES, readData } from "./data.ts";
import { onThread } from "./thread.ts";

const MIB = 1024 * 1024;

const refusal = (read: () => unknown): string => {
  try {
    read();
    return "";
  } catch (error) {
    return error instanceof Error ? error.message : "?";
  }
};

it("more YAML than 4 MiB is refused with file and limit, in one file or several; as JSON it is read", () => {
  const half = `a: "${"x".repeat(MAX_YAML_BYTES / 2 - 6)}"\n`;
  const files = [
    { path: "data.yaml", text: half },
    { path: "sub/data.yml", text: half },
  ];
  expect(readData(files).length).toBeGreaterThan(MAX_YAML_BYTES - 20);
  const wants = /^sub\/data\.yml: with it there are 4\.0 MiB of YAML, and 4\.0 MiB are read: write it as data\.json$/;
  expect(refusal(() => readData([...files.slice(0, 1), { path: "sub/data.yml", text: `${half}# more\n` }]))).toMatch(
    wants,
  );
  const large = JSON.stringify({ a: "x".repeat(2 * MAX_YAML_BYTES) });
  expect(readData([{ path: "data.json", text: large }])).toBe(large);
});

it.each([
  ["lists", `a: ${"[".repeat(201)}${"]".repeat(201)}\n`],
  ["objects", `${Array.from({ length: 202 }, (_, i) => `${" ".repeat(i)}a:`).join("\n")}\n`],
  ["beyond the parser's own stack", `a: ${"[".repeat(100_000)}\n`],
])("YAML with too many %s in each other is refused with its line", (_, text) =>
  expect(refusal(() => readData([{ path: "data.yaml", text }]))).toMatch(
    /^data\.yaml:\d+: more than 200 lists and objects in each other$/,
  ),
);

it("data that the memory of a policy does not hold is refused with sizes and a way out", () => {
  const data = (groups: number) =>
    JSON.stringify({
      grants: Object.fromEntries(Array.from({ length: groups }, (_, i) => [`g${i}`, ["a", "b", `t${i}`]])),
    });
  const make = (groups: number) => () => createEvaluator(artifact(compiledDemo(), data(groups)), null, UNWATCHED);
  expect(refusal(make(10_000))).toBe("");
  // Beyond the memory; within it, but without room for an input.
  for (const groups of [150_000, 85_000])
    expect(refusal(make(groups))).toMatch(
      /^the policy's data is too large: its \d\.\d MiB of JSON leave less than 16 of the 64 MiB/,
    );
});

it("a thread that needs more memory than it may have ends, and the process goes on", async () => {
  const data = [{ path: "data.yaml", text: `a:\n${"- a\n".repeat(MIB / 16)}` }];
  const result = await onThread(new URL("data-worker.ts", import.meta.url), data, { ms: 60_000, heapMiB: 24 });
  expect(result).toMatchObject({ kind: "failed", error: { code: "ERR_WORKER_OUT_OF_MEMORY" } });
});
