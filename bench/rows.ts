// The rows of the table: what is asked, of whom, and under which load.
import { closedLoop, openLoop, type Load } from "./load.ts";
import { bareProxy, brokerList, relayedCall } from "./ours/broker.ts";
import { noop } from "./ours/noop.ts";
import { serve, withCatalog, serversWith, withTraces, withVault } from "./ours/serve.ts";
import type { Peers } from "./peers.ts";
import type { Variant } from "./service.ts";
import { showsList, showsOneTool, showsSecret } from "./shows.ts";

/** One row, or several under different loads. */
export interface Row {
  readonly name: string;
  readonly title: string;
  /** In this order; the first is what the others are compared with, best a peer. */
  readonly variants: (peers: Peers) => readonly Variant[];
  /** By the title of their columns; the first gives the ratio. */
  readonly loads: Readonly<Record<string, Load>>;
}

const SATURATED = { saturated: closedLoop({}) };
const BODY = 16 * 1024;
/** More than a cache of the least size holds. */
const NEW_TOKENS = 4000;
const OPEN_MS = 1500;

const call = serve("serve", "mcp-authz serve", {});

export const ROWS: readonly Row[] = [
  {
    name: "decision",
    title: "The decision: RS256 token, a grant of 200, no credential",
    variants: (peers) => [...peers.of("result"), noop, call],
    loads: SATURATED,
  },
  {
    name: "decision-traced",
    title: "The decision with traces: off, none recorded, one in a hundred",
    variants: () => [
      serve("off", "no `traces`", {}),
      serve("none", "`sample: 0`", { config: withTraces(0) }),
      serve("hundredth", "`sample: 0.01`", { config: withTraces(0.01) }),
    ],
    loads: SATURATED,
  },
  {
    name: "body",
    title: "The decision with a body of 16 KiB, 8 connections",
    variants: (peers) => [
      ...peers.of("result", { bodyBytes: BODY }),
      serve("serve", "mcp-authz serve", { asked: () => ({ bodyBytes: BODY }) }),
    ],
    loads: { saturated: closedLoop({ connections: 8 }) },
  },
  {
    name: "cold",
    title: "The decision, every token new",
    variants: (peers) => [
      ...peers.of("result"),
      serve("serve", "mcp-authz serve", {
        config: () => ({ limits: { tokenCacheBytes: 1024 * 1024 } }),
        asked: (world) => ({ tokens: world.newTokens(NEW_TOKENS) }),
      }),
    ],
    loads: SATURATED,
  },
  {
    name: "relay",
    title: "A relayed call with its wristband",
    variants: (peers) => [
      ...peers.of("relay", {}, showsOneTool),
      serve("serve", "mcp-authz serve", {
        config: () => serversWith({ credential: [{ none: {} }] }),
        shows: showsOneTool,
      }),
    ],
    loads: SATURATED,
  },
  {
    name: "list",
    title: "A list with its wristband: 20 visible of 200",
    variants: (peers) => [
      ...peers.of("list", { method: "tools/list" }, showsList),
      serve("serve", "mcp-authz serve", {
        config: (world) => withCatalog(world),
        asked: () => ({ method: "tools/list" }),
        shows: showsList,
      }),
    ],
    loads: SATURATED,
  },
  {
    name: "vault",
    title: "A secret of the caller's from Vault, kept",
    variants: (peers) => [
      ...peers.of("secret", {}, showsSecret),
      serve("serve", "mcp-authz serve", { config: withVault, shows: showsSecret }),
    ],
    loads: SATURATED,
  },
  {
    name: "broker-list",
    title: "The broker's list: 20 visible of 200",
    variants: (peers) => [...peers.broker(), brokerList("mcp-authz broker", { servers: 4, tools: 200 })],
    loads: { saturated: closedLoop({ connections: 16, inFlight: 16 }) },
  },
  {
    name: "broker-call",
    title: "A small call through the broker's relay",
    variants: () => [bareProxy, relayedCall],
    loads: { saturated: closedLoop({ connections: 64 }) },
  },
  {
    name: "latency",
    title: "The decision at a fixed rate, queueing counted",
    variants: (peers) => [...peers.of("result"), call],
    loads: {
      "1000/s": openLoop(1000, { ms: OPEN_MS, warmMs: 300 }),
      "3000/s": openLoop(3000, { ms: OPEN_MS, warmMs: 300 }),
    },
  },
  {
    name: "resets",
    title: "Good calls at 300/s beside calls that are left alone",
    variants: (peers) => [...peers.of("result"), call],
    loads: Object.fromEntries(
      [0, 300, 1000].map((resets) => [`${resets} resets/s`, openLoop(300, { ms: 2 * OPEN_MS, warmMs: 300, resets })]),
    ),
  },
];
