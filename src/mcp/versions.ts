/** The stateless revision: headers mirror the body, every request carries its `_meta`. */
export const MODERN = "2026-07-28";
/** What a client of the first Streamable HTTP revision speaks when it sends no version header. */
export const ASSUMED = "2025-03-26";
/** Revisions that we speak, newest first. 2024-11-05 has another transport. */
export const SUPPORTED_VERSIONS: readonly string[] = [MODERN, "2025-11-25", "2025-06-18", ASSUMED];
