// A part of a configuration that is ready to be put in force. What belongs together is made ready first and put in force in one
// step, so that no Check sees issuers of one configuration and credentials of another. Pure.

export interface Prepared {
  /** Takes effect at once; it cannot fail. */
  putInForce(): void;
  /** In its place: it is not wanted after all. */
  drop(): void;
}

/** Makes each ready, and puts all in force or none. @throws {Error} of the one that failed, after the others were dropped */
export async function putInForce(makers: readonly (() => Promise<Prepared | null>)[]): Promise<void> {
  const ready: Prepared[] = [];
  try {
    for (const make of makers) {
      const prepared = await make();
      if (prepared !== null) ready.push(prepared);
    }
  } catch (error) {
    for (const prepared of ready) prepared.drop();
    throw error;
  }
  for (const prepared of ready) prepared.putInForce();
}
