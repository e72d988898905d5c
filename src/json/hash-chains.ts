// Bounds the cost of a JSON value in the hash tables of a policy. Pure. OPA's WASM keeps objects and sets as chains by
// FNV-1 (32 bits, no seed) modulo a power of two (opa wasm/src/value.c), so a client can make names that share one chain:
// 10,000 of them cost seconds. Of other names a handful at most share one.
import type { JsonObject, JsonValue } from "./types.ts";

/** Distinct names, strings or numbers in one chain: 17 in one of n chains happen by chance once in 10^11 texts. */
const MAX_CHAIN = 16;
/**
 * Comparisons of weighted parts, about 0.1 s. OPA hashes arrays and objects by the sum of their parts in any order, so
 * honest ones share chains (a unit matrix): the bound is on comparing all parts of a chain with each other.
 */
const MAX_PART_WORK = 1_200_000;
const FRACTION_WEIGHT = 16;
/** Members of one array or object up to which no chain can be long. */
export const FEW_MEMBERS = MAX_CHAIN;
/** Members of a text up to which its leaves are not looked at together. */
export const MANY_MEMBERS = 2000;

/**
 * Members of an array or object that is checked alone: a text holds at most 19 such values, and each adds at most 16 to a
 * chain.
 */
const LARGE = 512;

/** True if these names would be one long chain in a policy's object. */
export function isNameChain(names: readonly string[]): boolean {
  return isOneChain(names.map(hashOfText), MAX_CHAIN);
}

/** True if a policy's set of these elements would have a long chain. */
export function isElementChain(items: readonly JsonValue[]): boolean {
  const leaves: (string | number)[] = [];
  const parts: JsonValue[] = [];
  for (const item of items) {
    if (typeof item === "string" || typeof item === "number") leaves.push(item);
    else if (typeof item === "object" && item !== null) parts.push(item);
  }
  return hasDistinctChain(leaves) || isPartChain(parts);
}

/** Equal parts (the empty rows of a sheet) are one element of a set; they are removed only in long chains. */
function isPartChain(parts: readonly JsonValue[]): boolean {
  if (parts.length <= MAX_CHAIN) return false;
  const chains = new Map<number, JsonValue[]>();
  const mask = maskFor(parts);
  for (const part of parts) {
    const chain = hashOf(part) & mask;
    const before = chains.get(chain);
    if (before === undefined) chains.set(chain, [part]);
    else before.push(part);
  }
  let work = 0;
  for (const chain of chains.values()) if (chain.length > MAX_CHAIN) work += workOf(chain);
  return work > MAX_PART_WORK;
}

/** The cost of comparing all parts of a chain with each other. */
function workOf(chain: readonly JsonValue[]): number {
  const distinct = new Map(chain.map((part) => [JSON.stringify(part), part]));
  let weights = 0;
  for (const part of distinct.values()) weights += weightOf(part);
  return distinct.size * weights;
}

/** The cost of one comparison with a part; 1 is that of an integer or a short text. OPA parses a fraction each time. */
function weightOf(value: JsonValue): number {
  if (typeof value === "number") return Number.isSafeInteger(value) ? 1 : FRACTION_WEIGHT;
  if (typeof value !== "object" || value === null) return 1;
  let weight = 1;
  for (const item of Object.values(value as JsonObject)) weight += weightOf(item);
  return Array.isArray(value) ? weight : weight + Object.keys(value).length;
}

/** True if a policy that collects all names, strings and numbers of this value into one set would get a long chain. */
export function isLeafChain(value: JsonValue): boolean {
  const leaves: (string | number)[] = [];
  collectLeaves(value, leaves);
  return hasDistinctChain(leaves);
}

/** Equal values are one entry of a table; they are removed only where there is a long chain. */
function hasDistinctChain(leaves: readonly (string | number)[]): boolean {
  return isOneChain(leaves.map(hashOf), MAX_CHAIN) && isOneChain(Array.from(new Set(leaves), hashOf), MAX_CHAIN);
}

function collectLeaves(value: JsonValue, leaves: (string | number)[]): void {
  if (typeof value === "string" || typeof value === "number") leaves.push(value);
  else if (Array.isArray(value)) collectElements(value as readonly JsonValue[], leaves);
  else if (typeof value === "object" && value !== null) collectMembers(value as JsonObject, leaves);
}

function collectElements(items: readonly JsonValue[], leaves: (string | number)[]): void {
  const areNew = items.length <= LARGE;
  for (const item of items) if (areNew || typeof item === "object") collectLeaves(item, leaves);
}

function collectMembers(object: JsonObject, leaves: (string | number)[]): void {
  const names = Object.keys(object);
  const areNew = names.length <= LARGE;
  for (const name of names) {
    if (areNew) leaves.push(name);
    collectLeaves(object[name] ?? null, leaves);
  }
}

/**
 * True if a table with at least as many buckets as entries has a chain longer than `limit`. OPA's table has at most twice as
 * many buckets: each of its chains is one of these or a part of one, also while the table grows.
 */
function isOneChain(hashes: readonly number[], limit: number): boolean {
  if (hashes.length <= limit) return false;
  const mask = maskFor(hashes);
  const chains = new Uint16Array(mask + 1);
  for (const hash of hashes) {
    const length = (chains[hash & mask] ?? 0) + 1;
    if (length > limit) return true;
    chains[hash & mask] = length;
  }
  return false;
}

/** The bit mask of a table with at least as many buckets as entries. */
function maskFor({ length }: readonly unknown[]): number {
  return 2 ** Math.ceil(Math.log2(length)) - 1;
}

/** Hashes of large arrays and objects, so that a nested value is hashed once and not again at each level around it. */
const known = new WeakMap<object, number>();

/** OPA's hash of a value: FNV-1 of strings and numbers, the sum of the parts' for arrays and objects. */
function hashOf(value: JsonValue): number {
  if (typeof value === "string") return hashOfText(value);
  if (typeof value === "number") return hashOfNumber(value);
  if (typeof value !== "object" || value === null) return value === false ? 1 : 0;
  return known.get(value) ?? hashOfParts(value);
}

function hashOfParts(value: JsonObject | readonly JsonValue[]): number {
  let sum = 0;
  let parts = 0;
  const add = (hash: number) => {
    sum += hash;
    parts += 1;
  };
  if (Array.isArray(value)) for (const item of value as readonly JsonValue[]) add(hashOf(item));
  else hashMembers(value as JsonObject, add);
  if (parts > FEW_MEMBERS) known.set(value, sum);
  return sum;
}

function hashMembers(object: JsonObject, add: (hash: number) => void): void {
  for (const name in object) add(hashOfText(name) + hashOf(object[name] ?? null));
}

const OFFSET = 0x811c9dc5;
const PRIME = 0x01000193;
const double = new Float64Array(1);
const doubleBytes = new Uint8Array(double.buffer);

function hashOfText(text: string): number {
  let hash = OFFSET;
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) return hashOfBytes(Buffer.from(text));
    hash = Math.imul(hash, PRIME) ^ code;
  }
  return hash >>> 0;
}

function hashOfBytes(bytes: Uint8Array): number {
  let hash = OFFSET;
  for (const byte of bytes) hash = Math.imul(hash, PRIME) ^ byte;
  return hash >>> 0;
}

/** The hash of the eight bytes of the double, little-endian. */
function hashOfNumber(number: number): number {
  double[0] = number;
  return hashOfBytes(doubleBytes);
}
