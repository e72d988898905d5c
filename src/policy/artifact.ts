import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";

/** A compiled policy: what `opa build -t wasm` makes. */
export interface Artifact {
  readonly wasm: Buffer;
  /** The author's data, as JSON text. */
  readonly data: string;
  /** SHA-256 of both, in hex: what audit and metrics call the policy's revision. */
  readonly revision: string;
}

export function artifact(wasm: Buffer, data: string): Artifact {
  const revision = createHash("sha256").update(`${wasm.length}:`).update(wasm).update(data).digest("hex");
  return { wasm, data, revision };
}

const MAX_BUNDLE_BYTES = 64 * 1024 * 1024;
const BLOCK = 512;

/**
 * Reads an OPA bundle (.tar.gz) into an artifact. Two members of a ustar archive are all that is needed, so this is a
 * strict reader of just that, rather than a library that can also unpack to disk.
 * @throws {Error} that says what is wrong with the file
 */
export function readBundle(bytes: Uint8Array): Artifact {
  const members = untar(gunzipSync(bytes, { maxOutputLength: MAX_BUNDLE_BYTES }));
  const wasm = members.get("policy.wasm");
  if (wasm === undefined) throw new Error("the bundle holds no policy.wasm: build it with mcp-authz build-policy");
  return artifact(wasm, members.get("data.json")?.toString("utf8") ?? "{}");
}

function untar(archive: Buffer): Map<string, Buffer> {
  const members = new Map<string, Buffer>();
  for (let at = 0; at + BLOCK <= archive.length;) {
    const header = archive.subarray(at, at + BLOCK);
    if (header.every((byte) => byte === 0)) return members;
    const text = (start: number, length: number) =>
      header.toString("latin1", start, start + length).replace(/[\0 ].*$/s, "");
    const size = Number.parseInt(text(124, 12), 8);
    const end = at + BLOCK + size;
    if (!text(257, 6).startsWith("ustar") || !Number.isSafeInteger(size) || end > archive.length)
      throw new Error("the bundle is not a tar archive");
    const name = text(0, 100).replace(/^\.?\//, "");
    if (members.has(name)) throw new Error(`the bundle holds ${name} twice`);
    members.set(name, archive.subarray(at + BLOCK, end));
    at = at + BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
  throw new Error("the bundle is cut off");
}
