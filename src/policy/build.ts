import { existsSync } from "node:fs";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Artifact } from "./artifact.ts";
import { compilePolicy } from "./compile.ts";
import { selfTest } from "./self-test.ts";
import { readSources, sourcesHash } from "./sources.ts";
import { COMPILED_FOLDER } from "./store.ts";

export interface BuildOptions {
  readonly dir: string;
  readonly rego: "v0" | "v1";
  readonly opaPath: string | null;
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

/** Writes the compiled form into the policy folder itself, so that it starts without opa while its sources stay as they are. */
export async function writeCompiled(options: BuildOptions): Promise<{ revision: string }> {
  const built = await build(options);
  const folder = join(options.dir, COMPILED_FOLDER);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "policy.wasm"), built.wasm);
  await writeFile(join(folder, "data.json"), built.data);
  const manifest = { sources: sourcesHash(readSources(options.dir), options.rego), revision: built.revision };
  await writeFile(join(folder, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  return { revision: built.revision };
}

async function build({ dir, rego, opaPath }: BuildOptions): Promise<Artifact> {
  if (!existsSync(dir)) throw new Error(`${dir} does not exist`);
  const built = await compilePolicy({ files: readSources(dir), rego, opaPath });
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
