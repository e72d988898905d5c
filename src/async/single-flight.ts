// One run for all who ask while it is under way.

/** Calls `run`, or joins the run that is under way. A failed run is not remembered: the next call runs anew. */
export function singleFlight<T>(run: () => Promise<T>): () => Promise<T> {
  let flight: Promise<T> | null = null;
  return () =>
    (flight ??= run().finally(() => {
      flight = null;
    }));
}

/** The same by key: runs of different keys do not wait for each other. */
export function singleFlightByKey<T>(run: (key: string) => Promise<T>): (key: string) => Promise<T> {
  const flights = new Map<string, Promise<T>>();
  return (key) => {
    let flight = flights.get(key);
    if (flight === undefined) flights.set(key, (flight = run(key).finally(() => flights.delete(key))));
    return flight;
  };
}
