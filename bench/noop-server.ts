// What Node's usual gRPC stack costs at least: a Check that decodes, does nothing, and encodes, by @grpc/proto-loader.
import {
  loadPackageDefinition,
  Server,
  ServerCredentials,
  type sendUnaryData,
  type ServerUnaryCall,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { resolve } from "node:path";

const definition = loadSync("envoy/service/auth/v3/mcp_authz.proto", {
  keepCase: true,
  includeDirs: [resolve(import.meta.dirname, "../protos")],
});
const { envoy } = loadPackageDefinition(definition) as unknown as {
  envoy: { service: { auth: { v3: { Authorization: { service: typeof definition } } } } };
};
const answer = {
  status: { code: 0 },
  ok_response: {
    headers: [{ header: { key: "authorization", value: "Bearer x" }, append: { value: false }, append_action: 2 }],
    headers_to_remove: ["cookie", "x-authorized-tools", "x-mcp-server"],
  },
};
const server = new Server();
server.addService(envoy.service.auth.v3.Authorization.service as never, {
  Check: (_call: ServerUnaryCall<unknown, unknown>, callback: sendUnaryData<unknown>) => callback(null, answer),
});
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  process.stdout.write(`${port}\n`);
});
