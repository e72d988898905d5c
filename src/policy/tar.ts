// ustar archives of plain files with short names (POSIX.1-2001, "ustar Interchange Format"): what a bundle needs, strictly, rather than
// a library that can also unpack to disk. Pure.

const BLOCK = 512;

/** The same bytes for the same content. */
export function tar(members: readonly (readonly [string, Uint8Array])[]): Buffer {
  const blocks: Uint8Array[] = [];
  for (const [name, content] of members) {
    const header = Buffer.alloc(BLOCK);
    header.write(name, 0);
    header.write("0000644\0", 100);
    header.write("0000000\0".repeat(2), 108);
    header.write(`${content.length.toString(8).padStart(11, "0")}\0`, 124);
    header.write("00000000000\0", 136);
    header.write("        0", 148);
    header.write("ustar\x0000", 257);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    blocks.push(header, content, Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK));
  }
  return Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]);
}

/** The files by name. @throws {Error} for what is cut off, comes twice or is no plain file */
export function untar(archive: Buffer): Map<string, Buffer> {
  const members = new Map<string, Buffer>();
  for (let at = 0; at + BLOCK <= archive.length;) {
    const header = archive.subarray(at, at + BLOCK);
    if (header.every((byte) => byte === 0)) return members;
    const { name, size } = readHeader(header);
    const end = at + BLOCK + size;
    if (end > archive.length) throw new Error("the bundle is cut off");
    if (members.has(name)) throw new Error(`the bundle holds ${name} twice`);
    members.set(name, archive.subarray(at + BLOCK, end));
    at = at + BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
  throw new Error("the bundle is cut off");
}

/** One header: a plain file with a short name, its checksum right. */
function readHeader(header: Buffer): { name: string; size: number } {
  const text = (start: number, length: number) =>
    header.toString("latin1", start, start + length).replace(/[\0 ].*$/s, "");
  const octal = (start: number, length: number) => {
    const digits = text(start, length);
    return /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number.NaN;
  };
  const sum = header.reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 0x20 : byte), 0);
  const size = octal(124, 12);
  const plain = /^[0\0]$/.test(header.toString("latin1", 156, 157)) && header[345] === 0;
  const sound = text(257, 6).startsWith("ustar") && octal(148, 8) === sum && Number.isSafeInteger(size);
  if (!plain || !sound) throw new Error("the bundle is not a tar archive of plain files");
  return { name: text(0, 100).replace(/^\.?\//, ""), size };
}
