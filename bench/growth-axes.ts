// What can grow, and the sizes at which a Check is measured. Each size is a start of its own.
import { brokerList } from "./ours/broker.ts";
import { direct, serve, serversWith, withCatalog, type ServeRow } from "./ours/serve.ts";
import type { Variant } from "./service.ts";
import { showsList } from "./shows.ts";
import { ALL_TOOLS, GRANTED, SERVER_NAMES } from "./world.ts";

export interface Axis {
  readonly name: string;
  /** What grows, for a plot. */
  readonly title: string;
  readonly sizes: readonly number[];
  readonly variant: (size: number) => Variant;
  /** Requests before the first window, so that caches hold what they will hold. */
  readonly warm?: (size: number) => number;
}

const KIB = 1024;
const MIB = KIB * KIB;
const check = (row: ServeRow): Variant => serve("serve", "mcp-authz serve", row);

/** So many grants of the caller's group. */
function grants(count: number): object {
  const more = (server: string) =>
    Array.from({ length: (count - GRANTED) / SERVER_NAMES.length }, (_, i) => `other_${server}_${i}`);
  const ours = (server: string) =>
    ALL_TOOLS.slice(0, GRANTED)
      .filter((tool) => tool.server === server)
      .map(({ name }) => name);
  return {
    dev: Object.fromEntries(SERVER_NAMES.map((server) => [server, { tool: [...more(server), ...ours(server)] }])),
  };
}

export const AXES: readonly Axis[] = [
  {
    name: "policy",
    title: "grants of the caller",
    sizes: [20, 200, 2000],
    variant: (size) => check({ grants: grants(size) }),
  },
  {
    name: "catalogue",
    title: "names in the catalogue, of which a list shows 20",
    sizes: [200, 2000, 10_000],
    variant: (size) =>
      check({
        config: (world) => withCatalog(world, moreNames(size)),
        asked: () => ({ method: "tools/list" }),
        shows: showsList,
      }),
  },
  {
    name: "broker-catalogue",
    title: "tools behind the broker, of which a list shows 20",
    sizes: [200, 2000, 10_000],
    variant: (size) => brokerList("mcp-authz broker", { servers: Math.max(4, size / 200), tools: size }),
  },
  {
    name: "token",
    title: "bytes more in the token",
    sizes: [0, KIB, 4 * KIB, 8 * KIB],
    variant: (size) => check({ asked: (world) => ({ tokens: world.newTokens(500, { padding: "x".repeat(size) }) }) }),
  },
  {
    name: "body-growth",
    title: "bytes of the body",
    sizes: [KIB, 16 * KIB, 128 * KIB, MIB],
    variant: (size) => check({ config: () => ({ limits: { bodyBytes: MIB } }), asked: () => ({ bodyBytes: size }) }),
  },
  {
    name: "users",
    title: "callers in the caches",
    sizes: [10, 1000, 100_000],
    variant: (size) =>
      check({
        config: () => ({ limits: { tokenCacheBytes: 512 * MIB } }),
        asked: (world) => ({ tokens: world.manyCallers(size) }),
      }),
    warm: (size) => 1.2 * size,
  },
  {
    name: "servers",
    title: "servers in the configuration",
    sizes: [4, 50, 500],
    variant: (size) =>
      check({
        config: () => ({
          ...direct,
          ...serversWith({ callRouting: "direct", credential: [{ none: {} }] }, names(size)),
        }),
      }),
  },
];

const names = (count: number) => [
  ...SERVER_NAMES,
  ...Array.from({ length: count - SERVER_NAMES.length }, (_, i) => `u${i}`),
];

/** Names more for each server: four of them, and more when these are full. */
function moreNames(size: number): number {
  return size <= 200 ? 0 : size <= 2000 ? 450 : 950;
}
