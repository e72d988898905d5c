// What one connection may cost: sizes, windows and rates. Constants.
import type { Rate } from "./budget.ts";

/** Streams that a client may have open (SETTINGS_MAX_CONCURRENT_STREAMS). */
export const MAX_STREAMS = 4096;
/** What a client may send on one stream before we have read it. */
export const STREAM_WINDOW = 1024 * 1024;
/** The same for all streams of a connection. */
export const CONNECTION_WINDOW = 16 * STREAM_WINDOW;
/** Bytes of bodies that are not whole, and of long header fields of open streams, of all connections. From half of it on windows are not opened again, above it streams are reset. */
export const HELD_BYTES = 256 * 1024 * 1024;
/** The same of one connection, which it may hold whatever others do: those who hold the most do not stop the others. */
export const OWN_HELD_BYTES = 64 * 1024;
/** A header block in all its frames, as it comes. */
export const BLOCK_BYTES = 65_536;
/** CONTINUATION frames of one block. */
export const BLOCK_FRAMES = 32;
/** Settings of one SETTINGS frame: there are less than ten. */
export const SETTINGS = 32;
/** Streams that we have reset, and on which frames may still be on their way. */
export const RESET_STREAMS = 1024;
/**
 * Streams that end by a reset, the client's or ours. Envoy resets a call whose client left or whose time is over, so bursts are
 * ordinary; beyond this the client does nothing else (CVE-2023-44487, CVE-2025-8671).
 */
export const RESETS: Rate = { burst: 10_000, perSecond: 10_000 };
/** Frames that carry no request further: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, DATA without bytes, unknown ones (CVE-2019-9512 and its kin). */
export const IDLE_FRAMES: Rate = { burst: 20_000, perSecond: 20_000 };
/** SETTINGS: each may change the windows of all streams, and a client has something to set once or twice. */
export const SETTINGS_FRAMES: Rate = { burst: 100, perSecond: 10 };
/** Bytes that wait for a client to read them. Above it we read nothing more from it. */
export const UNREAD_BYTES = 1024 * 1024;
/** Milliseconds for a preface, a frame or a header block that has begun, for the end of a handshake, and for a client that does not read. */
export const STALL_MS = 10_000;
