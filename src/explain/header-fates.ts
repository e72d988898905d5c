// Says for `why` which headers of a client reach a server: one that is lost may have been a restriction. Pure.
import { fateOf, NO_SERVER_HEADERS } from "../authz/server-headers.ts";
import { checkSettings } from "../config/settings.ts";
import type { Config } from "../config/load.ts";
import { text, type ReportStep } from "./render.ts";

const FATES = {
  passes: "reaches the server as the client sent it",
  formed: "reaches the server if it is well formed",
  fixed: "is written by the gateway: the client's own does not reach the server",
  dropped: "does not reach the server",
} as const;

/** @param names in lower case */
export function headersStep(config: Config, server: string, names: readonly string[] = []): ReportStep[] {
  if (names.length === 0) return [];
  const { serverHeaders, watchedHeaders, headers } = checkSettings(config);
  const own = serverHeaders[server] ?? NO_SERVER_HEADERS;
  const fates = names.map((name) => {
    const isManaged = headers.managed.has(name);
    const fate = isManaged ? "dropped" : fateOf(name, own);
    return { name, fate, isManaged, isCounted: fate !== "passes" && watchedHeaders.has(name) } as const;
  });
  const says = fates.map(({ name, fate, isManaged, isCounted }) => {
    const counted = isCounted ? "; mcp_authz_headers_dropped_total counts it" : "";
    const remedy = fate === "dropped" && !isManaged ? `; servers.${server}.passHeaders lets it through` : "";
    return `${text(name)} ${FATES[fate]}${counted}${remedy}`;
  });
  return [{ step: "headers", outcome: "note", says, facts: { headers: fates } }];
}
