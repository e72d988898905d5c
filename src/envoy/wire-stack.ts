// The two wire stacks (decision record 011): a codec and a gRPC server each, behind which the handler is the same.
import { CHECK_CODEC, type CheckCodec } from "./check-codec.ts";
import type { GrpcServer, GrpcServerOptions } from "./grpc/grpc-server.ts";
import { createGrpcServer } from "./grpc/server.ts";

export interface WireStack {
  readonly codec: CheckCodec;
  readonly createServer: (options: GrpcServerOptions) => GrpcServer;
}

export type WireStackName = "http2" | "grpc-js";

/** The reference stack is loaded only where it is configured: it brings packages and reads protos/. */
export async function loadWireStack(name: WireStackName): Promise<WireStack> {
  if (name === "http2") return { codec: CHECK_CODEC, createServer: createGrpcServer };
  const [{ REFERENCE_CODEC }, { createGrpcJsServer }] = await Promise.all([
    import("./grpc-js/check-codec.ts"),
    import("./grpc-js/server.ts"),
  ]);
  return { codec: REFERENCE_CODEC, createServer: createGrpcJsServer };
}
