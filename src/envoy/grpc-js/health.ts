// grpc.health.v1.Health on @grpc/grpc-js. https://github.com/grpc/grpc/blob/master/doc/health-checking.md
import {
  status,
  type Server,
  type sendUnaryData,
  type ServerUnaryCall,
  type ServerWritableStream,
} from "@grpc/grpc-js";
import { HEALTH_SERVICES } from "../grpc/grpc-server.ts";
import type { Health } from "../grpc/health-state.ts";
import { HEALTH } from "./definitions.ts";

interface Request {
  readonly service?: string;
}
interface Response {
  readonly status: "SERVING" | "NOT_SERVING";
}

export function addHealth(server: Server, health: Health): void {
  const stateOf = (serving: boolean): Response => ({ status: serving ? "SERVING" : "NOT_SERVING" });
  server.addService(HEALTH, {
    Check({ request }: ServerUnaryCall<Request, Response>, respond: sendUnaryData<Response>) {
      if (HEALTH_SERVICES.has(request.service ?? "")) respond(null, stateOf(health.serving));
      else respond({ code: status.NOT_FOUND, details: "unknown service" });
    },
    /** Sends the state of the whole server, now and after each change, until the listener drains. */
    Watch(call: ServerWritableStream<Request, Response>) {
      const unwatch = health.watch({
        onState: (serving) => void call.write(stateOf(serving)),
        onEnd: () => void call.end(),
      });
      call.on("cancelled", unwatch);
    },
  });
}
