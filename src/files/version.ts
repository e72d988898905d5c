// The name and the version of this program, for `--version` and for MCP (`serverInfo`, `clientInfo`). I/O, once.
import { readFileSync } from "node:fs";

const MANIFEST = new URL("../../package.json", import.meta.url);

/** As package.json says; the one place that knows it. */
export const { version: VERSION } = JSON.parse(readFileSync(MANIFEST, "utf8")) as { readonly version: string };

/** MCP 2025-11-25, Implementation. */
export const IMPLEMENTATION = { name: "mcp-authz", version: VERSION };
