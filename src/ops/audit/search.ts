// Finds a decision in an audit log by its id, for `mcp-authz why`. Reads files and streams; writes nothing.
import { open, readdir, type FileHandle } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { parseJson } from "../../json/parse.ts";

/** A record of the audit log. Its fields are not checked: another version may have written it. */
export type AuditLine = Readonly<Record<string, unknown>>;

export interface AuditSearch {
  /** The newest line with this id, or null. */
  readonly line: AuditLine | null;
  /** `time` of the oldest readable line; null when there is none. */
  readonly oldest: string | null;
}

const CHUNK_BYTES = 256 * 1024;
/** Far above the longest record; a longer line is skipped and not kept in memory. */
const MAX_LINE_BYTES = 1024 * 1024;
const NEWLINE = 0x0a;

/**
 * Finds the newest record whose `request_id` or `mesh_request_id` is `id`. Reads the file from its end in chunks: memory does
 * not grow with the file. A line that is cut off or is no JSON is skipped.
 * @throws when the file cannot be read
 */
export async function searchAuditFile(path: string, id: string): Promise<AuditSearch> {
  const match = matcher(id);
  let oldest: string | null = null;
  const file = await open(path, "r");
  try {
    for await (const bytes of linesFromEnd(file)) {
      oldest = timeOf(bytes) ?? oldest;
      const line = match(bytes);
      if (line !== null) return { line, oldest };
    }
  } finally {
    await file.close();
  }
  return { line: null, oldest };
}

/** The same in a stream, from its beginning: the last match is the newest. */
export async function searchAuditStream(stream: Readable, id: string): Promise<AuditSearch> {
  const match = matcher(id);
  let line: AuditLine | null = null;
  let oldest: string | null = null;
  for await (const bytes of linesOf(stream)) {
    oldest ??= timeOf(bytes);
    line = match(bytes) ?? line;
  }
  return { line, oldest };
}

/** Files beside an audit log that log rotation may have made of it (`audit.jsonl.1`, `audit-20260102.jsonl`). */
export async function rotatedBeside(path: string): Promise<string[]> {
  const folder = dirname(path);
  const name = basename(path);
  const begins = [`${name}.`, `${name}-`, `${name.replace(/\.[^.]*$/, "")}-`];
  const names = await readdir(folder).catch(() => []);
  return names
    .filter((other) => begins.some((begin) => other.startsWith(begin)))
    .toSorted()
    .map((other) => join(folder, other));
}

function matcher(id: string): (bytes: Buffer) => AuditLine | null {
  const needle = Buffer.from(JSON.stringify(id));
  return (bytes) => {
    if (!bytes.includes(needle)) return null; // spares parsing nearly every line
    const line = parsed(recordIn(bytes));
    return line?.["request_id"] === id || line?.["mesh_request_id"] === id ? line : null;
  };
}

const OPENING = Buffer.from('{"time":"');
const CLOSING = "}".charCodeAt(0);

/** The JSON object of a line: log collectors put a prefix or terminal escapes around it. */
function recordIn(line: Buffer): Buffer {
  return line.subarray(Math.max(0, line.indexOf(OPENING)), line.lastIndexOf(CLOSING) + 1);
}

function parsed(bytes: Buffer): AuditLine | null {
  try {
    const value = parseJson(bytes.toString("utf8"));
    return typeof value === "object" && value !== null ? (value as AuditLine) : null;
  } catch {
    return null;
  }
}

function timeOf(bytes: Buffer): string | null {
  return /^\{"time":"([0-9TZ:.+-]{20,32})"/.exec(recordIn(bytes).toString("latin1", 0, 64))?.[1] ?? null;
}

/** Lines, last first. */
async function* linesFromEnd(file: FileHandle): AsyncGenerator<Buffer> {
  const { size } = await file.stat();
  let rest: Buffer = Buffer.alloc(0); // tail of a line that begins in the chunk before
  let whole = true;
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - CHUNK_BYTES);
    const chunk = Buffer.alloc(end - start);
    const { bytesRead } = await file.read(chunk, 0, chunk.length, start);
    let bytes = Buffer.concat([chunk.subarray(0, bytesRead), rest]);
    for (let newline = bytes.lastIndexOf(NEWLINE); newline !== -1; newline = bytes.lastIndexOf(NEWLINE)) {
      if (whole) yield bytes.subarray(newline + 1);
      whole = true;
      bytes = bytes.subarray(0, newline);
    }
    whole &&= bytes.length <= MAX_LINE_BYTES;
    rest = whole ? bytes : Buffer.alloc(0);
    end = start;
  }
  if (whole) yield rest;
}

/** Lines, first to last. */
async function* linesOf(stream: Readable): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0); // head of a line that ends in a later piece
  let whole = true;
  for await (const piece of stream) {
    let bytes = Buffer.concat([rest, Buffer.from(piece as Uint8Array)]);
    for (let newline = bytes.indexOf(NEWLINE); newline !== -1; newline = bytes.indexOf(NEWLINE)) {
      if (whole) yield bytes.subarray(0, newline);
      whole = true;
      bytes = bytes.subarray(newline + 1);
    }
    whole &&= bytes.length <= MAX_LINE_BYTES;
    rest = whole ? bytes : Buffer.alloc(0);
  }
  if (whole) yield rest;
}
