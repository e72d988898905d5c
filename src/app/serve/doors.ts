// The listeners of serve at which decisions are asked for, wired, and how they are left. I/O through them.
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Check } from "../../authz/check.ts";
import { createDecisions, type DecisionPorts } from "../../authz/decision-call.ts";
import { newCheckFacts } from "../../authz/facts.ts";
import type { Ports } from "../../authz/ports.ts";
import { refuse } from "../../authz/step.ts";
import type { Config } from "../../config/load.ts";
import { createCheckHandler } from "../../envoy/check-handler.ts";
import type { GrpcServer } from "../../envoy/grpc/grpc-server.ts";
import { toCheckResponse } from "../../envoy/to-check-response.ts";
import { loadWireStack } from "../../envoy/wire-stack.ts";
import { createExtMcp } from "../../extmcp/handler.ts";
import { createTickets } from "../../extmcp/ticket.ts";
import type { SigningKey } from "../../wristband/keys.ts";
import { tlsOf } from "../tls-listeners.ts";
import type { Traces } from "../traces.ts";
import { authzenOf } from "./authzen.ts";
import type { LiveCheck } from "./live-check.ts";

export interface DoorParts {
  readonly live: LiveCheck;
  readonly identify: Ports["identify"];
  readonly beginSpan: Traces["begin"];
  /** Those that sign wristbands. */
  readonly keys: () => readonly SigningKey[];
}

/** The listeners at which decisions are asked for. */
export async function frontDoors(config: Config, { identify, ...parts }: DoorParts, ports: DecisionPorts) {
  const { live } = parts;
  const grpc = await grpcServer(config, parts, ports);
  const authzen = authzenOf(config, { decisions: createDecisions(ports), live, identify });
  return {
    ...{ grpc, authzen },
    listen: async () => ({ authzPort: await grpc.listen(), authzenPort: (await authzen?.listen()) ?? null }),
    leave: () => {
      grpc.setServing(false);
      authzen?.leave();
    },
    drain: async (graceMs: number) => void (await Promise.all([grpc.drain(graceMs), authzen?.close(graceMs)])),
  };
}

async function grpcServer(
  config: Config,
  { live: { pipeline, answers }, keys, beginSpan }: Omit<DoorParts, "identify">,
  decisions: DecisionPorts,
): Promise<GrpcServer> {
  const { codec, createServer } = await loadWireStack(config.listen.authzStack);
  const responses = { answers, encode: codec.encode };
  const check: Check = (request, facts, signal) => pipeline().check(request, facts, signal);
  const { prefixMode } = config.extMcp;
  return createServer({
    address: config.listen.authz,
    tls: tlsOf(config, "authz"),
    handler: createCheckHandler({ ...decisions, check, codec, answers, beginSpan }),
    further: createExtMcp({
      ...decisions,
      pipeline,
      answers,
      prefixMode,
      beginSpan,
      tickets: createTickets(keys, Date.now),
    }),
    unknownClientResponse: () =>
      toCheckResponse(responses, refuse("internal"), newCheckFacts(randomUUID(), Date.now())).bytes,
    checkTimeoutMs: config.checkTimeoutMs,
  });
}

/** Says that it is not serving, and serves until those who ask have found out; then the calls under way end. */
export async function leave(
  { leave: sayIt, drain }: Awaited<ReturnType<typeof frontDoors>>,
  { drainDelayMs, drainMs }: Config,
): Promise<void> {
  sayIt();
  await delay(drainDelayMs);
  await drain(drainMs);
}
