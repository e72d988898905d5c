/** Bounds what one caller can hold of what all share (threat row K05). */
export interface Turns {
  /** Takes a turn of this caller's; the answer ends it. Null if all of them are taken. */
  enter(caller: string): (() => void) | null;
}

export function createTurns(max: number): Turns {
  const taken = new Map<string, number>();
  return {
    enter(caller) {
      const now = taken.get(caller) ?? 0;
      if (now >= max) return null;
      taken.set(caller, now + 1);
      return () => {
        const left = (taken.get(caller) ?? 0) - 1;
        if (left > 0) taken.set(caller, left);
        else taken.delete(caller);
      };
    },
  };
}
