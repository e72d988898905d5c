// What `mcp-authz build-policy` and `npm run compile-demo` write: a policy in its compiled form.
import { existsSync } from "node:fs";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { gzipSync } from "node:zlib";
import type { Artifact } from "./artifact.ts";
import { compilePolicy } from "./compile.ts";
import { writeCompiled } from "./compiled-folder.ts";
import type { FindOpa } from "./opa.ts";
import { selfTest } from "./self-test.ts";
import { readSources } from "./sources.ts";

export interface BuildOptions {
  readonly dir: string;
  readonly rego: "v0" | "v1";
  readonly findOpa: FindOpa;
}

/** Compiles a folder, tries the result, and writes it as a bundle that `policy.path` can name. */
export async function buildBundle(
  options: BuildOptions & { readonly out: string },
): Promise<{ revision: string; bytes: number }> {
  const built = await build(options);
  const bytes = gzipSync(
    tar([
      ["policy.wasm", built.wasm],
      ["data.json", Buffer.from(built.data)],
    ]),
    { level: 9 },
  );
  await mkdir(dirname(options.out), { recursive: true });
  await writeFile(`${options.out}.tmp`, bytes);
  await rename(`${options.out}.tmp`, options.out);
  return { revision: built.revision, bytes: bytes.length };
}

/** Writes the compiled rules into the policy folder itself, so that it starts without opa while its rules stay as they are. */
export async function buildCompiled(options: BuildOptions): Promise<{ revision: string }> {
  const { wasm, revision } = await build(options);
  writeCompiled(options.dir, wasm, { files: readSources(options.dir), rego: options.rego });
  return { revision };
}

async function build({ dir, rego, findOpa }: BuildOptions): Promise<Artifact> {
  if (!existsSync(dir)) throw new Error(`${dir} does not exist`);
  const built = await compilePolicy({ files: readSources(dir), rego, findOpa });
  await selfTest(built);
  return built;
}

/** A ustar archive of plain files, the same bytes for the same content. */
export function tar(members: readonly (readonly [string, Uint8Array])[]): Buffer {
  const blocks: Uint8Array[] = [];
  for (const [name, content] of members) {
    const header = Buffer.alloc(512);
    header.write(name, 0);
    header.write("0000644\0", 100);
    header.write("0000000\0".repeat(2), 108);
    header.write(`${content.length.toString(8).padStart(11, "0")}\0`, 124);
    header.write("00000000000\0", 136);
    header.write("        0", 148);
    header.write("ustar\x0000", 257);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    blocks.push(header, content, Buffer.alloc((512 - (content.length % 512)) % 512));
  }
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}
