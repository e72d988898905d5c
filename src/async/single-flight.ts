// Single flight: concurrent calls share one run. Pure.

/** Calls `run`, or joins the run in flight. The result is not cached: the next call runs again. */
export function singleFlight<T>(run: () => Promise<T>): () => Promise<T> {
  let flight: Promise<T> | null = null;
  return () =>
    (flight ??= run().finally(() => {
      flight = null;
    }));
}

/** Single flight by key: runs of different keys are independent. */
export function singleFlightByKey<T>(run: (key: string) => Promise<T>): (key: string) => Promise<T> {
  const flights = new Map<string, Promise<T>>();
  return (key) => {
    let flight = flights.get(key);
    if (flight === undefined) flights.set(key, (flight = run(key).finally(() => flights.delete(key))));
    return flight;
  };
}
