// Bounds what a JSON value can cost in the hash tables of a policy. Pure. OPA's WASM keeps objects and sets as chains by
// FNV-1 (32 bits, no seed) modulo a power of two (opa wasm/src/value.c), so anybody can make names that share one chain:
// 10,000 of them cost seconds. Names that were not made for it share a chain with a handful at most.
import type { JsonObject, JsonValue } from "./types.ts";

/** Distinct names, strings or numbers in one chain: 17 in one of n chains happen by chance once in 10^11 texts. */
const MAX_CHAIN = 16;
/**
 * Arrays and objects are hashed by the sum of their parts, whatever the order, so honest ones share chains (a unit matrix).
 * So what is bounded is what comparing them costs, about 0.1 s: all of a chain with each other, by their weights.
 */
const MAX_PART_WORK = 1_200_000;
const FRACTION_WEIGHT = 16;
/** Members of one array or object, or a text, up to which no chain is worth a look. */
export const FEW_MEMBERS = MAX_CHAIN;
export const MANY_MEMBERS = 2000;

/**
 * Arrays and objects so large that each has been looked at for itself: a text holds at most 19 of them, which add at most
 * 16 to a chain each.
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

/** Equal parts are one element of a set, however many (the empty rows of a sheet): looked for only in long chains. */
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

/** What it costs to compare all parts of a chain with each other. */
function workOf(chain: readonly JsonValue[]): number {
  const distinct = new Map(chain.map((part) => [JSON.stringify(part), part]));
  let weights = 0;
  for (const part of distinct.values()) weights += weightOf(part);
  return distinct.size * weights;
}

/** Of one part, in comparisons of an integer or a short text: OPA reads a fraction anew each time. */
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

/** Equal values are one entry of a table; they are looked for only where there is a chain. */
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
 * Counts the chains of a table with at least as many buckets as entries. OPA's has at most twice as many: there each
 * chain is one of these or a part of one, so what is short here is short there, and while the table grows.
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

/** Of a table with at least as many buckets as entries. */
function maskFor({ length }: readonly unknown[]): number {
  return 2 ** Math.ceil(Math.log2(length)) - 1;
}

/** Hashes of large arrays and objects: what stands in many others is hashed once, not at each level around it. */
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

/** Of the eight bytes of the double, the lowest first, as on every machine that we run on. */
function hashOfNumber(number: number): number {
  double[0] = number;
  return hashOfBytes(doubleBytes);
}
