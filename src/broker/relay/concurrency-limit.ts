// Bounds how many calls one key (a caller, or a caller at one server) has at a time (threat model: K05). Pure.

export interface ConcurrencyLimit {
  /** Takes a slot of this key and returns its release, which must be called once; null if all slots are taken. */
  tryAcquire(key: string): (() => void) | null;
}

/** @param max slots of each key */
export function createConcurrencyLimit(max: number): ConcurrencyLimit {
  const used = new Map<string, number>();
  return {
    tryAcquire(key) {
      const now = used.get(key) ?? 0;
      if (now >= max) return null;
      used.set(key, now + 1);
      return () => {
        const left = (used.get(key) ?? 0) - 1;
        if (left > 0) used.set(key, left);
        else used.delete(key);
      };
    },
  };
}
