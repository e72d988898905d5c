import { expect, it } from "vitest";
import { chooseLab } from "../../demo/open-lab.ts";
import type { LabKind } from "../../demo/lab-interface.ts";

const lab = (containers: string[], processes: string[]) => ({
  containers: async () => containers,
  processes: async () => processes,
});

it.each<[string, string[], string[], LabKind]>([
  ["auto", [], [], "containers"],
  ["auto", ["no engine"], [], "processes"],
  ["auto", [], ["envoy"], "containers"],
  ["containers", [], ["envoy"], "containers"],
  ["processes", ["no engine"], [], "processes"],
])("LAB=%s, containers lack %j, processes lack %j: %s", async (want, containers, processes, kind) => {
  expect(await chooseLab(want, lab(containers, processes))).toBe(kind);
});

it.each([
  ["auto", ["no engine"], ["envoy"], ["no engine", "envoy"]],
  ["containers", ["no engine", "no image"], [], ["no engine", "no image"]],
  ["processes", [], ["envoy"], ["envoy"]],
])("LAB=%s fails with everything that is missing, and does not skip", async (want, containers, processes, named) => {
  const fault = await chooseLab(want, lab(containers, processes)).catch((error: unknown) => String(error));
  for (const part of named) expect(fault).toContain(`  ${part}`);
});

it("a word that is none of the three is refused", async () => {
  await expect(chooseLab("docker", lab([], []))).rejects.toThrow("auto, containers or processes");
});

it("what one kind lacks does not matter to who asked for the other", async () => {
  const never = () => Promise.reject(new Error("was asked"));
  expect(await chooseLab("processes", { containers: never, processes: async () => [] })).toBe("processes");
});
