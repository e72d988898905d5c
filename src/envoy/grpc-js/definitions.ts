// The service definitions of protos/, loaded by @grpc/proto-loader when this module is imported. I/O: reads protos/.
import { resolve } from "node:path";
import { loadSync, type ServiceDefinition } from "@grpc/proto-loader";

/** In the package, the clone and the image alike: protos/ is beside src/. */
const PROTOS = resolve(import.meta.dirname, "../../../protos");

/** Without `defaults` an absent field stays absent; names as in the files; a 64-bit integer as a number. */
const definitions = loadSync(["envoy/service/auth/v3/mcp_authz.proto", "grpc/health/v1/health.proto"], {
  keepCase: true,
  longs: Number,
  includeDirs: [PROTOS],
});

function service(name: string): ServiceDefinition {
  const definition = definitions[name];
  // A message's or an enum's definition has a `format`, a service's has methods.
  if (definition === undefined || "format" in definition) throw new Error(`protos/ has no service ${name}`);
  return definition;
}

export const AUTHORIZATION: ServiceDefinition = service("envoy.service.auth.v3.Authorization");
export const HEALTH: ServiceDefinition = service("grpc.health.v1.Health");
