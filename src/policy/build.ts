// What `mcp-authz build-policy` and `npm run compile-demo` write: a policy in its compiled form.
import { existsSync } from "node:fs";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { packBundle, type Bundle } from "./bundle.ts";
import { compilePolicy } from "./compile.ts";
import { writeCompiled } from "./compiled-folder.ts";
import { refuseHiddenData } from "./findings.ts";
import type { FindOpa } from "./opa.ts";
import type { PolicySettings } from "./settings.ts";
import { selfTest } from "./self-test.ts";
import { authoredRules, readSources } from "./sources.ts";

export interface BuildOptions extends Pick<PolicySettings, "mode" | "envoy"> {
  readonly dir: string;
  readonly rego: "v0" | "v1";
  readonly findOpa: FindOpa;
}

/** Compiles a folder, tries the result, and writes it as a bundle that `policy.path` can name. */
export async function buildBundle(
  options: BuildOptions & { readonly out: string },
): Promise<{ revision: string; bytes: number }> {
  const built = await build(options);
  const bytes = await packBundle(built);
  await mkdir(dirname(options.out), { recursive: true });
  await writeFile(`${options.out}.tmp`, bytes);
  await rename(`${options.out}.tmp`, options.out);
  return { revision: built.artifact.revision, bytes: bytes.length };
}

/** Writes the compiled rules into the policy folder itself, so that it starts without opa while its rules stay as they are. */
export async function buildCompiled(options: BuildOptions): Promise<{ revision: string }> {
  const { wasm, reads, revision } = (await build(options)).artifact;
  writeCompiled(options.dir, { wasm, reads }, { files: readSources(options.dir), rego: options.rego });
  return { revision };
}

async function build({ dir, rego, findOpa, mode = "mcp", envoy = null }: BuildOptions): Promise<Bundle> {
  if (!existsSync(dir)) throw new Error(`${dir} does not exist`);
  const files = readSources(dir);
  const built = await compilePolicy({ files, rego, findOpa, mode, envoy });
  refuseHiddenData(files, rego);
  await selfTest(built);
  return { artifact: built, rules: authoredRules(files, rego, built.entrypoint ?? null) };
}
