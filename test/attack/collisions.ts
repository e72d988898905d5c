// Strings that share one bucket of OPA's hash table in WebAssembly: FNV-1 of 32 bits without a seed, modulo a power of two
// (`opa_value_hash`: multiply, then exclusive or with the byte). Pure.
const ALPHABET = [..."abcdefghijklmnopqrstuvwxyz0123456789"].map((letter) => letter.charCodeAt(0));
const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
/** More than 16 bits of the hash are not looked at by a table of fewer than 65,536 entries. */
const LOW_BITS = 0xffff;
const BUCKET = 0x1234;

const step = (hash: number, byte: number) => (Math.imul(hash, FNV_PRIME) ^ byte) >>> 0;

/** @param prefix what all of them begin with; ASCII */
export function collidingNames(count: number, prefix = ""): string[] {
  let start = FNV_OFFSET;
  for (let i = 0; i < prefix.length; i += 1) start = step(start, prefix.charCodeAt(i));
  const names: string[] = [];
  for (let head = 0; names.length < count; head += 1) {
    let hash = start;
    let text = prefix;
    for (let i = 0, left = head; i < 4; i += 1, left = Math.floor(left / ALPHABET.length)) {
      const letter = ALPHABET[left % ALPHABET.length] ?? 0;
      text += String.fromCharCode(letter);
      hash = step(hash, letter);
    }
    for (const tail of tails(hash)) names.push(text + tail);
  }
  return names.slice(0, count);
}

const TRIPLES = ALPHABET.flatMap((a) => ALPHABET.flatMap((b) => ALPHABET.map((c) => [a, b, c] as const)));

/** Three letters that lead from this hash into the one bucket. */
function tails(hash: number): string[] {
  return TRIPLES.filter(([a, b, c]) => (step(step(step(hash, a), b), c) & LOW_BITS) === BUCKET).map((letters) =>
    String.fromCharCode(...letters),
  );
}

/** An object with these names. */
export function objectOf(names: readonly string[], value: unknown = 1): Record<string, unknown> {
  return Object.fromEntries(names.map((name) => [name, value]));
}
