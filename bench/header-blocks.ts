// The header blocks of a gRPC call, as a proxy sends them (RFC 7541): the first fills the dynamic table, later ones refer to it. Pure.

/** Literal with incremental indexing (§6.2.1), the name by its place in the static table or new. */
const INDEXED = 0x40;
const FIRST_DYNAMIC = 62;
const POST = 0x83;
const HTTP = 0x86;
const PATH = 4;
const AUTHORITY = 1;
const CONTENT_TYPE = 31;

/** @returns the block of a connection's first call, and that of all others */
export function headerBlocks(path: string, authority: string): readonly [first: Buffer, later: Buffer] {
  const fields: readonly (readonly [name: string | number, value: string])[] = [
    [PATH, path],
    [AUTHORITY, authority],
    [CONTENT_TYPE, "application/grpc"],
    ["te", "trailers"],
    ["grpc-timeout", "2000m"],
  ];
  const literals = fields.map(([name, value]) =>
    Buffer.concat([
      typeof name === "number" ? Buffer.from([INDEXED | name]) : Buffer.concat([Buffer.from([INDEXED]), text(name)]),
      text(value),
    ]),
  );
  // The field that came last has the first place.
  const references = fields.map((_, i) => 0x80 | (FIRST_DYNAMIC + fields.length - 1 - i));
  return [Buffer.concat([Buffer.from([POST, HTTP]), ...literals]), Buffer.from([POST, HTTP, ...references])];
}

/** Without Huffman; below 127 bytes. */
function text(value: string): Buffer {
  return Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
}
