// Measures the duration of each port call, and makes a span of it where its Check is sampled. Pure but for the clock and the metrics.
import type { Ports } from "../../authz/ports.ts";
import type { Reason } from "../../authz/refusal.ts";
import type { Metrics, StepName } from "../../ops/metrics/serve.ts";
import { currentSpan, inChild, type Span } from "../../telemetry/span.ts";

/** Wraps the ports with a measurement. */
export function timedPorts(metrics: Pick<Metrics, "observeStep">, ports: Ports): Ports {
  const measure = <A extends readonly unknown[], R>(step: StepName, run: (...args: A) => R) => {
    const timed = (...args: A): R => {
      const started = performance.now();
      const done = () => metrics.observeStep(step, (performance.now() - started) / 1000);
      const result = run(...args);
      if (result instanceof Promise) void result.finally(done).catch(() => {});
      else done();
      return result;
    };
    return (...args: A): R => {
      const check = currentSpan();
      return check === undefined ? timed(...args) : inChild(check, step, { work: () => timed(...args), note });
    };
  };
  return {
    note: ports.note,
    ...{ headerDropped: ports.headerDropped, mirrorsArguments: ports.mirrorsArguments },
    identify: measure("identify", ports.identify),
    ...{ identifyKey: ports.identifyKey, identifyTokenless: ports.identifyTokenless },
    decide: measure("decide", ports.decide),
    visible: measure("visible", ports.visible),
    decideHost: ports.decideHost && measure("decide", ports.decideHost),
    ...{ refusalOf: ports.refusalOf, openTask: ports.openTask },
    fetchCredential: measure("credential", ports.fetchCredential),
    relayed: ports.relayed,
    signWristband: measure("wristband", ports.signWristband),
  };
}

/** The reason of a step that refuses. */
function note(span: Span, result: unknown): void {
  const refused = result as { readonly ok: boolean; readonly reason?: Reason };
  if (!refused.ok) span.set("mcp_authz.reason", refused.reason);
}
