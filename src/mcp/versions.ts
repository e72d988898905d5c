// The protocol revisions of MCP that the gateway speaks. Constants only.

/** The stateless revision: headers mirror the body, every request carries its `_meta`. */
export const MODERN = "2026-07-28";
/** The revision of a client that sends no version header (MCP 2025-06-18, Protocol Version Header). */
export const ASSUMED = "2025-03-26";
/** Supported revisions, newest first. Of 2024-11-05 the messages, over the transport of the revisions after it. */
export const SUPPORTED_VERSIONS: readonly string[] = [MODERN, "2025-11-25", "2025-06-18", ASSUMED, "2024-11-05"];
