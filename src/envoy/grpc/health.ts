// grpc.health.v1.Health by hand: two messages of one field each are less than a dependency. I/O on the stream only.
// https://github.com/grpc/grpc/blob/master/doc/health-checking.md
import {
  closeResponse,
  respond,
  respondStatus,
  GRPC_STATUS,
  openResponse,
  messageOf,
  PREFIX_BYTES,
  type Call,
} from "./message.ts";
import { HEALTH_SERVICES } from "./grpc-server.ts";
import type { Health } from "./health-state.ts";
import { BackwardWriter, FieldReader, once, WireFault } from "../protobuf.ts";

/** ServingStatus. */
const SERVING = 1;
const NOT_SERVING = 2;
/** A request names one service. */
const MAX_BYTES = 1024;

type Method = (health: Health, call: Call) => void;

/** Method by path. */
export const HEALTH_METHODS: ReadonlyMap<string, Method> = new Map([
  ["/grpc.health.v1.Health/Check", check],
  ["/grpc.health.v1.Health/Watch", watch],
]);

function check(health: Health, call: Call): void {
  call.stream.maxBodyBytes = PREFIX_BYTES + MAX_BYTES;
  call.stream.listener = {
    onBody: (body) => {
      const message = messageOf(body);
      const isKnown = message !== null && message.length <= MAX_BYTES && HEALTH_SERVICES.has(serviceName(message));
      if (isKnown) respond(call, stateOf(health.serving));
      else respondStatus(call, GRPC_STATUS.notFound, "unknown service");
    },
    onGone: () => {},
  };
}

/** Sends the state of the whole server, now and after each change, until the listener drains. */
function watch(health: Health, call: Call): void {
  call.connection.discardBody(call.stream);
  const send = openResponse(call);
  const unwatch = health.watch({
    onState: (serving) => send(stateOf(serving)),
    onEnd: () => closeResponse(call),
  });
  call.stream.listener = { onBody: () => {}, onGone: unwatch };
}

function stateOf(serving: boolean): Buffer {
  const message = new BackwardWriter(8);
  message.int32(1, serving ? SERVING : NOT_SERVING);
  return message.finish();
}

function serviceName(bytes: Buffer): string {
  try {
    let name = "";
    const message = new FieldReader(bytes);
    let seen = 0;
    while (message.next()) {
      if (message.field !== 1) message.skip();
      else {
        seen = once(seen, 1);
        name = message.string();
      }
    }
    return name;
  } catch (error) {
    if (error instanceof WireFault) return "?";
    throw error;
  }
}
