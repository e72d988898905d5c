// What a server of the stateless revision may ask the client of a call (`input_required`), and her answers on their way to it. Pure.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/utilities/mrtr
import { setMembers, type Edit, type ObjectSpan } from "../../json/spans.ts";
import type { ClientCapabilities } from "../sessions/client-capabilities.ts";

/** A call whose client can be asked: she has a session of an older revision, takes a stream, and can do something. */
export interface CallAsking {
  /** Hers, as far as they are carried. */
  readonly capabilities: ClientCapabilities;
  /** What the server asked last, answered; null for the first request. */
  readonly inputs: CallInputs | null;
}

/** JSON texts for the same request once more; null for a member that the server did not ask for. */
export interface CallInputs {
  readonly inputResponses: Buffer | null;
  /** As the server wrote it. */
  readonly requestState: Buffer | null;
}

/** Puts the answers into the params of a call. */
export function inputEdits(params: ObjectSpan, inputs: CallInputs): Edit[] {
  const texts = Object.entries(inputs).flatMap(([name, text]: [string, Buffer | null]) =>
    text === null ? [] : [[name, text.toString()] as const],
  );
  return setMembers(params, Object.fromEntries(texts));
}

/** The client's capabilities in words of the stateless revision. */
export function declaredCapabilities({ roots, ...others }: ClientCapabilities): object {
  return roots === undefined ? others : { ...others, roots: {} };
}

/** A complete `input_required`: the message, under the client's id. */
export interface Asked {
  readonly ok: "asked";
  readonly bytes: Buffer;
}

/** Bytes of one `input_required`. */
export const MAX_ASKED_BYTES = 256 * 1024;

export function askedIn(body: readonly Uint8Array[]): Asked {
  return { ok: "asked", bytes: Buffer.concat(body) };
}
