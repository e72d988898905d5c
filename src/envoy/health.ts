import {
  status,
  type handleUnaryCall,
  type handleServerStreamingCall,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { BackwardWriter, FieldReader, WireFault } from "./protobuf.ts";

/** What grpc.health.v1.Health answers. */
export interface Health {
  serving: boolean;
}

const SERVING = 1;
const NOT_SERVING = 2;
/** The services that may be asked for: the whole server, and the one that Envoy names. */
const KNOWN = new Set(["", "envoy.service.auth.v3.Authorization"]);
const WATCH_EVERY_MS = 1000;

const identity = (bytes: Buffer) => bytes;
const METHOD = {
  requestStream: false,
  requestSerialize: identity,
  requestDeserialize: identity,
  responseSerialize: identity,
  responseDeserialize: identity,
};

/** The gRPC health protocol (grpc.health.v1), by hand: two messages of one field each are less than a dependency. */
export function healthService(health: Health): {
  definition: ServiceDefinition;
  implementation: UntypedServiceImplementation;
} {
  const answer = () => {
    const message = new BackwardWriter(8);
    message.int32(1, health.serving ? SERVING : NOT_SERVING);
    return message.finish();
  };
  const check: handleUnaryCall<Buffer, Buffer> = (call, callback) => {
    if (KNOWN.has(serviceName(call.request))) callback(null, answer());
    else callback({ code: status.NOT_FOUND, details: "unknown service" });
  };
  const watch: handleServerStreamingCall<Buffer, Buffer> = (call) => {
    let last: boolean | null = null;
    const tick = () => {
      if (last === health.serving) return;
      last = health.serving;
      call.write(answer());
    };
    tick();
    const timer = setInterval(tick, WATCH_EVERY_MS);
    call.on("cancelled", () => {
      clearInterval(timer);
      call.end();
    });
  };
  return {
    definition: {
      Check: { ...METHOD, path: "/grpc.health.v1.Health/Check", responseStream: false },
      Watch: { ...METHOD, path: "/grpc.health.v1.Health/Watch", responseStream: true },
    },
    implementation: { Check: check, Watch: watch },
  };
}

function serviceName(bytes: Buffer): string {
  try {
    let name = "";
    const message = new FieldReader(bytes);
    while (message.next()) {
      if (message.field === 1) name = message.string();
      else message.skip();
    }
    return name;
  } catch (error) {
    if (error instanceof WireFault) return "?";
    throw error;
  }
}
