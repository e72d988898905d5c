// What an output schema may not hold, whether it compiles or not. Pure.

/** Bytes of schema that `$ref`s copy into one another when a validator inlines them. */
const MAX_INLINED = 256 * 1024;

type Json = Readonly<Record<string, unknown>>;

/**
 * Why a schema is not given to clients; null for one that may be compiled.
 *
 * - `id`: an `$id`. Clients keep all schemas of a list in one registry, so one tool's would stand in for another's.
 * - `async`: `$async` makes of a validator one that rejects a promise that nobody awaits.
 * - `inlined`: references that copy so much that compiling takes all memory.
 */
export function schemaFault(schema: Json): "id" | "async" | "inlined" | null {
  let inlined = 0;
  for (const { $id, $async, $ref } of objectsIn(schema)) {
    if (typeof $id === "string") return "id";
    if ($async === true) return "async";
    if (typeof $ref === "string") inlined += sizeAt(schema, $ref);
  }
  return inlined > MAX_INLINED ? "inlined" : null;
}

function* objectsIn(schema: Json): Generator<Json> {
  const open: unknown[] = [schema];
  while (open.length > 0) {
    const node = open.pop();
    if (typeof node !== "object" || node === null) continue;
    if (!Array.isArray(node)) yield node as Json;
    for (const value of Object.values(node) as unknown[]) open.push(value);
  }
}

const sizes = new WeakMap<object, number>();

/** Bytes of what a local reference names: of the whole for all but a JSON pointer. */
function sizeAt(root: Json, reference: string): number {
  const target = reference.startsWith("#/") ? (targetOf(root, reference) ?? root) : root;
  if (typeof target !== "object" || target === null) return 0;
  const known = sizes.get(target);
  if (known !== undefined) return known;
  const size = JSON.stringify(target).length;
  sizes.set(target, size);
  return size;
}

/** RFC 6901 §6. */
function targetOf(root: Json, reference: string): unknown {
  let target: unknown = root;
  for (const part of reference.slice(2).split("/")) {
    const name = decoded(part).replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof target !== "object" || target === null || !Object.hasOwn(target, name)) return undefined;
    target = (target as Json)[name];
  }
  return target;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
