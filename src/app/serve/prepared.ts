// Parts of a configuration that are ready to be put in force together. What belongs together is made ready first and put in force in
// one step, so that no Check sees issuers of one configuration and credentials of another. Pure.
import type { Prepared } from "../../ops/reload.ts";

/** Makes each ready, to put all in force or none. @throws {Error} of the one that failed, after the others were dropped */
export async function prepareAll(makers: readonly (() => Promise<Prepared | null>)[]): Promise<Prepared> {
  const ready: Prepared[] = [];
  const drop = () => {
    for (const prepared of ready) prepared.drop();
  };
  try {
    for (const make of makers) {
      const prepared = await make();
      if (prepared !== null) ready.push(prepared);
    }
  } catch (error) {
    drop();
    throw error;
  }
  const putInForce = () => {
    for (const prepared of ready) void prepared.putInForce();
  };
  return { putInForce, drop };
}
