export interface BoundedMap<V> {
  get(key: string): V | undefined;
  /** @param bytes what the entry weighs, roughly */
  set(key: string, value: V, bytes: number): void;
  delete(key: string): void;
  readonly size: number;
}

/** A map that forgets what was not used for longest once it holds too many entries, or entries that weigh too much. */
export function createBoundedMap<V>(maxEntries: number, maxBytes: number): BoundedMap<V> {
  const entries = new Map<string, { readonly value: V; readonly bytes: number }>();
  let total = 0;

  function remove(key: string): void {
    total -= entries.get(key)?.bytes ?? 0;
    entries.delete(key);
  }

  return {
    get(key) {
      const entry = entries.get(key);
      if (entry === undefined) return undefined;
      entries.delete(key);
      entries.set(key, entry);
      return entry.value;
    },
    set(key, value, bytes) {
      remove(key);
      entries.set(key, { value, bytes });
      total += bytes;
      for (const oldest of entries.keys()) {
        if (entries.size <= maxEntries && total <= maxBytes) break;
        remove(oldest);
      }
    },
    delete: remove,
    get size() {
      return entries.size;
    },
  };
}
