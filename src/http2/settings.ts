// The client's SETTINGS (RFC 9113 §6.5). Pure.
import { ConnectionFault, ERROR } from "./fault.ts";
import { FRAME_BYTES, MAX_WINDOW, SETTING, type Frame } from "./frame.ts";
import { SETTINGS } from "./limits.ts";

const SETTING_BYTES = 6;
/** Those that are 0 or 1 (RFC 9113 §6.5.2, RFC 8441 §3, RFC 9218 §2.1). */
const SWITCHES: ReadonlySet<number> = new Set([
  SETTING.enablePush,
  SETTING.enableConnectProtocol,
  SETTING.noRfc7540Priorities,
]);
/** 2^24 − 1. */
const MAX_FRAME_BYTES = 16_777_215;

export interface ClientSettings {
  initialWindow?: number;
  frameBytes?: number;
}

/** Reads those that change what we send; the last of a kind counts. @throws {ConnectionFault} for a value out of bounds */
export function readSettings({ bytes, start, end }: Frame): ClientSettings {
  if ((end - start) % SETTING_BYTES !== 0) throw new ConnectionFault(ERROR.frameSize, "SETTINGS with half a setting");
  if (end - start > SETTINGS * SETTING_BYTES) throw new ConnectionFault(ERROR.enhanceYourCalm, "too many settings");
  const settings: ClientSettings = {};
  for (let at = start; at < end; at += SETTING_BYTES) {
    const value = bytes.readUInt32BE(at + 2);
    const id = bytes.readUInt16BE(at);
    if (SWITCHES.has(id) && value > 1) throw new ConnectionFault(ERROR.protocol, "a switch above 1");
    if (id === SETTING.initialWindowSize) {
      if (value > MAX_WINDOW) throw new ConnectionFault(ERROR.flowControl, "INITIAL_WINDOW_SIZE above 2^31 − 1");
      settings.initialWindow = value;
    }
    if (id === SETTING.maxFrameSize) {
      const isValid = value >= FRAME_BYTES && value <= MAX_FRAME_BYTES;
      if (!isValid) throw new ConnectionFault(ERROR.protocol, "MAX_FRAME_SIZE out of bounds");
      settings.frameBytes = value;
    }
  }
  return settings;
}
