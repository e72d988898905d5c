// Rules of `traces`. Pure.
import type { Reporter } from "../problem.ts";
import type { Config } from "../schema.ts";
import { HEADER_VALUE } from "../../authz/header-value.ts";
import { partsOf } from "../../http/url.ts";

/** Written by the exporter itself, or by whatever sends its requests. */
const OWN_HEADERS: ReadonlySet<string> = new Set([
  ...["host", "content-type", "content-length", "content-encoding", "transfer-encoding", "connection", "te", "trailer"],
  ...[
    "upgrade",
    "keep-alive",
    "expect",
    "accept",
    "accept-encoding",
    "traceparent",
    "tracestate",
    "proxy-authorization",
  ],
]);

/** The collector's URL has a path, and its headers are headers. */
export function checkTraces({ traces }: Config, { problem, warn }: Reporter): void {
  if (traces === null) return;
  if (partsOf(traces.endpoint).path === "/")
    problem("traces.endpoint", "names no path: it is the whole URL, and collectors take traces at /v1/traces");
  for (const [name, value] of Object.entries(traces.headers)) {
    const key = `traces.headers.${name}`;
    if (OWN_HEADERS.has(name)) problem(key, "is written by the exporter itself; take it out");
    if (!HEADER_VALUE.test(value.reveal()))
      problem(key, "its value is no header value: one line of visible ASCII, without spaces around it");
  }
  if (traces.parent === "follow")
    warn(
      "traces.parent",
      "follow lets whoever writes `traceparent` decide what is recorded: only proxies of yours should",
    );
}
