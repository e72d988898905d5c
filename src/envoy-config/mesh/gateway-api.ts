// Gateway and HTTPRoute, as Envoy Gateway, Istio and others read them. Pure.
// https://gateway-api.sigs.k8s.io/reference/spec/
import type { Config } from "../../config/schema.ts";
import { brokerOnlyHeaders } from "../routes.ts";
import { GATEWAY_API, NAME, TLS_OBJECTS, type Manifest } from "./common.ts";
import type { Placement } from "./placement.ts";

/** The gateway's one listener. */
export function listenerName({ envoy: { tls } }: Config): "http" | "https" {
  return tls.listen === null ? "http" : "https";
}

export function gateway(
  config: Config,
  { namespace, port }: Placement,
  more: { gatewayClassName: string; tls?: object },
): Manifest {
  const name = listenerName(config);
  return {
    apiVersion: `${GATEWAY_API}/v1`,
    kind: "Gateway",
    metadata: { name: NAME, namespace },
    spec: {
      ...more,
      listeners: [
        {
          name,
          protocol: name.toUpperCase(),
          port,
          // A route of another namespace would be judged as ours are, but could take a host or a path from them.
          allowedRoutes: { namespaces: { from: "Same" } },
          ...(name === "https" && {
            tls: { mode: "Terminate", certificateRefs: [{ kind: "Secret", name: TLS_OBJECTS.gateway }] },
          }),
        },
      ],
    },
  };
}

/**
 * One route for every path: a list of paths could be walked round, and the Check answers the public documents by itself.
 * @param to the broker as a backendRef
 * @param before filters before the others
 */
export function route(
  config: Config,
  { namespace, hostnames }: Placement,
  { to, before = [] }: { to: object; before?: object[] },
): Manifest {
  return {
    apiVersion: `${GATEWAY_API}/v1`,
    kind: "HTTPRoute",
    metadata: { name: NAME, namespace },
    spec: {
      parentRefs: [{ group: GATEWAY_API, kind: "Gateway", name: NAME }],
      hostnames,
      rules: [
        {
          matches: [{ path: { type: "PathPrefix", value: "/" } }],
          filters: [
            ...before,
            { type: "ResponseHeaderModifier", responseHeaderModifier: { remove: brokerOnlyHeaders(config) } },
          ],
          backendRefs: [to],
          timeouts: { request: "0s" }, // a time limit would cut event streams
        },
      ],
    },
  };
}
