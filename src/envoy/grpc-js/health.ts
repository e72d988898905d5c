// grpc.health.v1.Health on @grpc/grpc-js. https://github.com/grpc/grpc/blob/master/doc/health-checking.md
import {
  status,
  type Server,
  type sendUnaryData,
  type ServerUnaryCall,
  type ServerWritableStream,
} from "@grpc/grpc-js";
import { HEALTH_SERVICES, WATCH_EVERY_MS, type Health } from "../grpc/grpc-server.ts";
import { HEALTH } from "./definitions.ts";

interface Request {
  readonly service?: string;
}
interface Response {
  readonly status: "SERVING" | "NOT_SERVING";
}

export function addHealth(server: Server, health: Health): void {
  const state = (): Response => ({ status: health.serving ? "SERVING" : "NOT_SERVING" });
  server.addService(HEALTH, {
    Check({ request }: ServerUnaryCall<Request, Response>, respond: sendUnaryData<Response>) {
      if (HEALTH_SERVICES.has(request.service ?? "")) respond(null, state());
      else respond({ code: status.NOT_FOUND, details: "unknown service" });
    },
    /** Sends the state of the whole server, now and after each change. */
    Watch(call: ServerWritableStream<Request, Response>) {
      let last: boolean | null = null;
      const tick = () => {
        if (last === health.serving) return;
        last = health.serving;
        call.write(state());
      };
      tick();
      const timer = setInterval(tick, WATCH_EVERY_MS);
      call.on("cancelled", () => clearInterval(timer));
    },
  });
}
