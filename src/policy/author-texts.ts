// Which texts are the policy author's own: they stand in the rules or in the data. A text that a rule computed may hold a claim or an
// argument of the caller, and stays out of the log. Pure.

/** Beyond it the data is not looked through: that costs time and memory of the serving thread. Characters. */
const MAX_DATA = 512 * 1024;
const MAX_TEXT = 1024;

/**
 * @param wasm holds each text of the rules, ended by a zero byte
 * @param data of the author. @param size of the data as JSON text
 * @returns true for a text of theirs, whole; what is looked through is read at the first question
 */
export function createAuthorTexts(wasm: Uint8Array, data: object, size: number): (text: string) => boolean {
  let known: ReadonlySet<string> | null = null;
  return (text) => {
    known ??= new Set([...textsOfRules(wasm), ...(size <= MAX_DATA ? textsOfData(data) : [])]);
    return known.has(text);
  };
}

function textsOfRules(wasm: Uint8Array): string[] {
  const bytes = Buffer.from(wasm.buffer, wasm.byteOffset, wasm.byteLength).toString("latin1");
  const found: string[] = [];
  // oxlint-disable-next-line no-control-regex -- other bytes are code
  for (const [text] of bytes.matchAll(/(?<=\0)[^\0-\x08\x0e-\x1f]+(?=\0)/g))
    if (text.length <= MAX_TEXT) found.push(Buffer.from(text, "latin1").toString("utf8"));
  return found;
}

function* textsOfData(value: unknown): Iterable<string> {
  if (typeof value === "string") yield value;
  if (typeof value !== "object" || value === null) return;
  if (!Array.isArray(value)) yield* Object.keys(value);
  for (const inner of Object.values(value)) yield* textsOfData(inner);
}
