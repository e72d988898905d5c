// Checks as a data plane sends them, encoded by the reference library with the full .proto files.
import { dirname, join } from "node:path";
import { createRequire } from "node:module";
import { loadSync } from "@grpc/proto-loader";

const deps = join(dirname(createRequire(import.meta.url).resolve("@grpc/grpc-js-xds/package.json")), "deps");

/** Envoy's own definitions, as @grpc/grpc-js-xds ships them. */
export const FULL_PROTO = loadSync("envoy/service/auth/v3/external_auth.proto", {
  keepCase: true,
  longs: Number,
  enums: String,
  defaults: true,
  oneofs: true,
  includeDirs: ["envoy-api", "xds", "googleapis", "protoc-gen-validate"].map((name) => join(deps, name)),
});

/** Our own. */
export const OWN_PROTO = loadSync("envoy/service/auth/v3/mcp_authz.proto", {
  keepCase: true,
  longs: Number,
  enums: String,
  defaults: true,
  oneofs: true,
  includeDirs: [join(import.meta.dirname, "../../protos")],
});

interface Codec {
  encode(message: object): Buffer;
  decode(bytes: Buffer): Record<string, unknown>;
}

interface CheckMethod {
  readonly requestSerialize: (message: object) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => object;
  readonly responseSerialize: (message: object) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => object;
}

export function codecs(definition: typeof FULL_PROTO): { request: Codec; response: Codec } {
  const service = definition["envoy.service.auth.v3.Authorization"] as unknown as Record<"Check", CheckMethod>;
  const { Check } = service;
  const plain = (value: object) => JSON.parse(JSON.stringify(value)) as Record<string, unknown>;
  return {
    request: { encode: Check.requestSerialize, decode: (bytes) => plain(Check.requestDeserialize(bytes)) },
    response: { encode: Check.responseSerialize, decode: (bytes) => plain(Check.responseDeserialize(bytes)) },
  };
}

export interface CheckParts {
  readonly method?: string;
  readonly path?: string;
  readonly host?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  readonly size?: number;
  /** As header_map with raw bytes (Envoy's encode_raw_headers), or as the map. */
  readonly form?: "map" | "list";
}

/** A Check like the ones our Envoy configuration sends. */
export function checkMessage(parts: CheckParts = {}): object {
  const body = Buffer.from(parts.body ?? "");
  const path = parts.path ?? "/servers/s/mcp";
  const host = parts.host ?? "gw.example.com";
  const method = parts.method ?? "POST";
  const headers: Record<string, string> = {
    ":authority": host,
    ":method": method,
    ":path": path,
    ":scheme": "http",
    "content-type": "application/json",
    ...(body.length > 0 && { "x-envoy-auth-partial-body": "false" }),
    ...parts.headers,
  };
  const list = Object.entries(headers).map(([key, value]) => ({ key, raw_value: Buffer.from(value) }));
  return {
    attributes: {
      source: { address: { socket_address: { address: "192.0.2.7", port_value: 4711 } } },
      request: {
        http: {
          id: "1",
          method,
          path,
          host,
          scheme: "http",
          protocol: "HTTP/1.1",
          size: parts.size ?? body.length,
          raw_body: body,
          ...(parts.form === "map" ? { headers } : { header_map: { headers: list } }),
        },
      },
    },
  };
}
