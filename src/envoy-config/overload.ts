// Envoy's own bounds of memory and connections, as its overload manager has them. Pure.
// https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/operations/overload_manager/overload_manager
import type { Config } from "../config/schema.ts";

const MIB = 1024 * 1024;
const HEAP = "envoy.resource_monitors.fixed_heap";
/** Envoy sorts streams into eight classes by what they hold, each twice the one before, and resets the largest first. */
const CLASSES = 8;

/** The overload actions, by share of the heap. Measured (docs/limits.md); those that honest callers notice least come first. */
export function overloadManager({ envoy, limits }: Config): object {
  return {
    refresh_interval: "0.02s", // a burst of bodies fills the heap within the default of 1 s
    resource_monitors: [
      monitor("fixed_heap", "fixed_heap.v3.FixedHeapConfig", { max_heap_size_bytes: envoy.heapMiB * MIB }),
      monitor("global_downstream_max_connections", "downstream_connections.v3.DownstreamConnectionsConfig", {
        max_active_downstream_connections: envoy.maxConnections,
      }),
    ],
    buffer_factory_config: { minimum_account_to_track_power_of_two: trackedPower(limits.bodyBytes) },
    actions: [
      { ...action("shrink_heap", at(0.3)), typed_config: SHRINK },
      action("reset_high_memory_stream", between(0.3, 0.9)),
      { ...action("reduce_timeouts", between(0.6, 0.9)), typed_config: SHORTER_TIMEOUTS },
      action("stop_accepting_requests", between(0.8, 0.95)),
      action("disable_http_keepalive", at(0.9)),
      action("stop_accepting_connections", at(0.97)),
    ],
    // A worker learns of actions between two rounds of its event loop, and one round can read more than the heap has. Load
    // shed points are asked before each connection is read.
    loadshed_points: [
      shed("http2_server_go_away_and_close_on_dispatch", at(0.9)),
      shed("http1_server_abort_dispatch", at(0.9)),
    ],
  };
}

/** tcmalloc gives back what it does not need, so that the process stays near its heap. */
export function memoryAllocator({ heapMiB }: Config["envoy"]): object {
  return { bytes_to_release: 64 * MIB, memory_release_interval: "1s", soft_memory_limit_bytes: heapMiB * MIB };
}

/** The highest class is a whole body. Envoy takes no power below 10. */
function trackedPower(bodyBytes: number): number {
  return Math.max(10, Math.floor(Math.log2(bodyBytes)) - (CLASSES - 1));
}

const SHRINK = {
  "@type": "type.googleapis.com/envoy.config.overload.v3.ShrinkHeapConfig",
  timer_interval: "1s",
  max_unfreed_memory_bytes: 16 * MIB,
};

/** Timeouts at the end of the range: two seconds, within which nearly every response comes. */
const SHORTER_TIMEOUTS = {
  "@type": "type.googleapis.com/envoy.config.overload.v3.ScaleTimersOverloadActionConfig",
  timer_scale_factors: [
    "HTTP_DOWNSTREAM_CONNECTION_IDLE",
    "HTTP_DOWNSTREAM_STREAM_IDLE",
    "TRANSPORT_SOCKET_CONNECT",
  ].map((timer) => ({ timer, min_timeout: "2s" })),
};

function monitor(name: string, type: string, fields: object): object {
  return {
    name: `envoy.resource_monitors.${name}`,
    typed_config: { "@type": `type.googleapis.com/envoy.extensions.resource_monitors.${type}`, ...fields },
  };
}

function action(name: string, trigger: object): object {
  return { name: `envoy.overload_actions.${name}`, triggers: [{ name: HEAP, ...trigger }] };
}

function shed(name: string, trigger: object): object {
  return { name: `envoy.load_shed_points.${name}`, triggers: [{ name: HEAP, ...trigger }] };
}

function at(value: number): object {
  return { threshold: { value } };
}

/** Scales from nothing at `from` to full extent at `full`. */
function between(from: number, full: number): object {
  return { scaled: { scaling_threshold: from, saturation_threshold: full } };
}
