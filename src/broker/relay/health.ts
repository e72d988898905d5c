// What the end of a call says about its server, for the circuit breaker. I/O only by the connections that are watched.
import { faultOf, HttpFault } from "../../http/client.ts";
import type { HttpFaultCode } from "../../http/fault.ts";
import type { Upstream } from "../upstream/upstream.ts";
import type { CallHealth } from "./breaker.ts";

/** The last request of a call to its server. */
export interface SeenRequest {
  /** HTTP status of its response; null while there is none. */
  status: number | null;
}

/** The server of one call, whose last response is seen. What is sent after the call's end says nothing of it. */
export function watch(upstream: Upstream, seen: SeenRequest, ended: AbortSignal): Upstream {
  return {
    ...upstream,
    async request(request) {
      if (ended.aborted) return upstream.request(request);
      seen.status = null;
      const response = await upstream.request(request);
      seen.status = response.statusCode;
      return response;
    },
  };
}

const UNREACHABLE: readonly HttpFaultCode[] = ["unreachable", "tls", "address_refused"];
const FAILED: readonly HttpFaultCode[] = ["timeout", "cut_off", "not_http", "failed"];

/** @param error that ended the call; null if it had a response, or was refused here */
export function healthAfter({ status }: SeenRequest, error: unknown, isAnswered: boolean): CallHealth {
  if (isAnswered) return "well";
  // 401 and 403 are about the caller's credential, 429 about her calls: the server is there.
  if (status !== null) return status >= 500 ? "failed" : "unknown";
  if (error === null || (error instanceof HttpFault && error.code === "left")) return "unknown";
  const { code } = faultOf(error);
  if (UNREACHABLE.includes(code)) return "unreachable";
  return FAILED.includes(code) ? "failed" : "unknown";
}
