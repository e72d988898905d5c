// The demo's policy as a bundle, of its committed module and its data: no `opa` is needed.
import { resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { loadPolicy } from "../../src/policy/load.ts";
import { tar } from "../../src/policy/tar.ts";

const DEMO = resolve(import.meta.dirname, "../../policies/demo");

/** @param names the members that the bundle has */
export async function demoBundle(names: readonly ("policy.wasm" | "data.json")[]): Promise<Buffer> {
  const findOpa = () => Promise.reject(new Error("the demo's rules differ from its module: npm run compile-demo"));
  const { artifact } = await loadPolicy({ path: DEMO, rego: "v1", findOpa });
  const members = { "policy.wasm": artifact.wasm, "data.json": Buffer.from(artifact.data) };
  return gzipSync(tar(names.map((name) => [name, members[name]])));
}
