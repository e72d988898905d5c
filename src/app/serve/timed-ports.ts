// Measures the duration of each port call. Pure but for the clock and the metrics.
import type { Ports } from "../../authz/ports.ts";
import type { Metrics, StepName } from "../../ops/metrics/serve.ts";

/** Wraps the ports with a measurement. */
export function timedPorts(metrics: Pick<Metrics, "observeStep">, ports: Ports): Ports {
  const measure = <A extends readonly unknown[], R>(step: StepName, run: (...args: A) => R) => {
    return (...args: A): R => {
      const started = performance.now();
      const done = () => metrics.observeStep(step, (performance.now() - started) / 1000);
      const result = run(...args);
      if (result instanceof Promise) void result.finally(done).catch(() => {});
      else done();
      return result;
    };
  };
  return {
    note: ports.note,
    headerDropped: ports.headerDropped,
    identify: measure("identify", ports.identify),
    ...{ identifyKey: ports.identifyKey, identifyTokenless: ports.identifyTokenless },
    decide: measure("decide", ports.decide),
    visible: measure("visible", ports.visible),
    openTask: ports.openTask,
    fetchCredential: measure("credential", ports.fetchCredential),
    relayed: ports.relayed,
    signWristband: measure("wristband", ports.signWristband),
  };
}
