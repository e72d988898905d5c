// The kept inputs of the coverage-guided run, and its seeds: what must hold for each target holds for them.
import { describe, expect, it } from "vitest";
import { inputsOf } from "./target-corpus.ts";
import { TARGETS } from "./targets/index.ts";

describe.each(Object.entries(TARGETS))("%s", (name, target) => {
  it("holds for its seeds and for each kept input", () => {
    const inputs = [...target.seeds.map((seed) => Buffer.from(seed)), ...inputsOf(name)];
    for (const input of inputs) expect(() => target.run(input), input.toString("base64")).not.toThrow();
  });
});
