// What the two stacks do otherwise, by name: in which sessions it may be, and why it is right. A table.
import { HEALTH_METHODS } from "../../../src/envoy/grpc/health.ts";
import { FRAME, FRAME_BYTES } from "../../../src/http2/frame.ts";
import type { Outcome } from "./outcome.ts";
import { dependsOnItself, endsStream, framesOf, isOneMessage, type Session, type SessionFrame } from "./session.ts";
import { fieldsOf } from "./session-fields.ts";

/** One difference of a session: of the connection (stream 0), or of one stream. */
export interface Difference {
  readonly stream: number;
  readonly ours: string;
  readonly reference: string;
}

interface Named {
  readonly name: string;
  readonly why: string;
  applies(difference: Difference, session: Session, ours: Outcome): boolean;
}

const INITIAL_WINDOW_SIZE = 4;
const NO_RFC7540_PRIORITIES = 9;
const MESSAGE_FAULTS = ["grpc-status=8", "grpc-status=12", "grpc-status=13"];
const isReset = (text: string) => text.startsWith("reset");
const ofConnection = ({ stream }: Difference) => stream === 0;
const isAlive = (text: string) => text === "null";

export const NAMED_DIFFERENCES: readonly Named[] = [
  {
    name: "another code",
    why: "both end the connection; where a session has two faults, or a fault two codes, each tells the first that it sees",
    applies: (found) => ofConnection(found) && !isAlive(found.ours) && !isAlive(found.reference),
  },
  {
    name: "acknowledgement of no PING",
    why: "RFC 9113 §6.7 gives it no meaning: we pass it over, node:http2 ends the connection",
    applies: (found, session) =>
      isBetween(found, "null", "2") && framesOf(session, FRAME.ping).some(({ flags }) => (flags & 1) !== 0),
  },
  {
    name: "NO_RFC7540_PRIORITIES that changes",
    why: "RFC 9218 §2.1: a receiver may end the connection; we have no priorities that it could change",
    applies: (found, session) => isBetween(found, "null", "1") && settingsWith(session, NO_RFC7540_PRIORITIES) > 0,
  },
  {
    name: "PRIORITY on stream 0",
    why: "RFC 9113 §6.3: an error of the connection; nghttp2 passes PRIORITY over",
    applies: (found, session) => isBetween(found, "1", "null") && framesOf(session, FRAME.priority, 0).length > 0,
  },
  {
    name: "GOAWAY of the client",
    why: "it says that the client takes no streams of ours, which there are none of: we go on, node:http2 ends",
    applies: (found, session) =>
      ofConnection(found) && isAlive(found.ours) && framesOf(session, FRAME.goAway).length > 0,
  },
  {
    name: "a frame that is not whole",
    why: "we read a frame when all of it is here, nghttp2 takes its parts",
    applies: (found, session) => session.isCut && (!ofConnection(found) || isAlive(found.ours)),
  },
  {
    name: "frames on a stream that we have reset",
    why: "RFC 9113 §5.1: they are passed over; nghttp2 holds them to the stream's state before",
    applies: (found, _session, ours) =>
      ofConnection(found) && isAlive(found.ours) && [...ours.streams.values()].some(isReset),
  },
  {
    name: "HEADERS on a stream that is over",
    why: "RFC 9113 §5.1.1: an error of the connection; nghttp2 passes over those on a stream that was reset",
    applies: (found, session) =>
      ofConnection(found) && found.reference === "null" && ["1", "5"].includes(found.ours) && hasHeadersTwice(session),
  },
  {
    name: "a malformed field",
    why: "RFC 9113 §8.2.1: the request is malformed; nghttp2 drops the field, and the request goes on without it",
    applies: ({ stream, ours }, session) => ours === "reset 1" && (fieldsOf(session, stream) ?? []).some(isMalformed),
  },
  {
    name: "PRIORITY of a stream on itself",
    why: "RFC 7540 §5.3.1, as h2spec asks: an error of the stream; nghttp2 passes PRIORITY over",
    applies: ({ stream, ours }, session) => ours === "reset 1" && dependsOnItself(session, stream),
  },
  {
    name: "DATA on a stream that was left out",
    why: "RFC 9113 §5.1: a stream below the highest number is closed; nghttp2 passes its frames over",
    applies: ({ ours, reference }) => ours === "reset 5" && reference === "none",
  },
  {
    name: "a message that is none",
    why: "decision record 011: what is not one whole message is refused by an answer, where grpc-js ends the call with a status",
    applies: ({ stream, ours, reference }, session) =>
      (ours === "none" || ours.startsWith(":status=200")) &&
      !isOneMessage(session, stream) &&
      (MESSAGE_FAULTS.some((status) => reference.includes(status)) || reference.startsWith(":status=200")),
  },
  {
    name: "an early answer",
    why: "grpc-js answers what it does not know at its head; we at its end, so that no stream is reset behind the answer",
    applies: ({ stream, ours }, session) => ours === "none" && !hasEnd(session, stream),
  },
  {
    name: "frames behind an answer",
    why: "a stream that was answered is gone for us; for the slower one it is still open",
    applies: (found, session, ours) =>
      ofConnection(found) &&
      isAlive(found.ours) &&
      [...ours.streams.keys()].some((stream) => hasFramesBehindItsEnd(session, stream)),
  },
  {
    name: "a setting twice in one frame",
    why: "each value is held to its bounds; nghttp2 holds the last one",
    applies: (found, session) =>
      ofConnection(found) && found.reference === "null" && framesOf(session, FRAME.settings).some(hasSettingTwice),
  },
  {
    name: "a frame above SETTINGS_MAX_FRAME_SIZE",
    why: "RFC 9113 §4.2: an error, which we say by its header; nghttp2 says it later",
    applies: (found, { frames }) =>
      isBetween(found, "6", "null") && frames.some(({ announced }) => announced > FRAME_BYTES),
  },
  {
    name: "host twice, or no host",
    why: "RFC 9110 §7.2: malformed; nghttp2 drops some of them",
    applies: ({ stream, ours }, session) =>
      ours === "reset 1" && (fieldsOf(session, stream) ?? []).some(([name]) => name === "host"),
  },
  {
    name: "a window that closes behind the call",
    why: "the answer of the faster one had left before SETTINGS_INITIAL_WINDOW_SIZE was read",
    applies: ({ ours, reference }, session) =>
      (ours === "none" || reference === "none") && settingsWith(session, INITIAL_WINDOW_SIZE) > 0,
  },
  {
    name: "a health request that is none",
    why: "we know no service by it; grpc-js ends the call with a status, or passes over what is no field",
    applies: ({ stream, ours, reference }, session) =>
      ours.startsWith(":status=200 grpc-status=5") &&
      reference.startsWith(":status=200") &&
      (fieldsOf(session, stream) ?? []).some(([name, value]) => name === ":path" && HEALTH_METHODS.has(value)),
  },
  {
    name: "a verb that is not POST",
    why: "gRPC over HTTP/2 knows POST alone: we answer 405, grpc-js does not look",
    applies: ({ stream, ours }, session) =>
      ours.startsWith(":status=405") &&
      !(fieldsOf(session, stream) ?? []).some(([name, value]) => name === ":method" && value === "POST"),
  },
  {
    name: "content-type twice",
    why: "RFC 9110 §8.3: it is one; which of two counts is nobody's to guess, grpc-js takes the first",
    applies: ({ stream, ours }, session) =>
      ours === "reset 1" && (fieldsOf(session, stream) ?? []).filter(([name]) => name === "content-type").length > 1,
  },
  {
    name: "a time that is none",
    why: "a malformed grpc-timeout is a deadline that is over: we refuse by an answer, grpc-js ends the call with a status",
    applies: ({ stream, ours, reference }, session) =>
      (ours === "none" || ours.startsWith(":status=200 grpc-status=0")) &&
      (reference === "none" || reference.includes("grpc-status=13")) &&
      (fieldsOf(session, stream) ?? []).some(([name]) => name === "grpc-timeout"),
  },
  {
    name: "a call that is taken back when it was answered",
    why: "the answer of the faster one had left before RST_STREAM was read",
    applies: ({ stream, ours, reference }, session) =>
      (ours === "none" || reference === "none") && framesOf(session, FRAME.rstStream, stream).length > 0,
  },
];

function isBetween(found: Difference, ours: string, reference: string): boolean {
  return ofConnection(found) && found.ours === ours && found.reference === reference;
}

const settingIds = ({ payload }: SessionFrame) =>
  Array.from({ length: Math.floor(payload.length / 6) }, (_, i) => payload.readUInt16BE(i * 6));

function settingsWith(session: Session, id: number): number {
  return framesOf(session, FRAME.settings)
    .flatMap(settingIds)
    .filter((each) => each === id).length;
}

function hasSettingTwice(frame: SessionFrame): boolean {
  const ids = settingIds(frame);
  return new Set(ids).size < ids.length;
}

function hasHeadersTwice({ frames }: Session): boolean {
  const ids = frames.filter(({ type }) => type === FRAME.headers).map(({ stream }) => stream);
  return ids.some((id, i) => ids.some((other, j) => j < i && other >= id));
}

function hasEnd({ frames }: Session, stream: number): boolean {
  return frames.some((frame) => frame.stream === stream && endsStream(frame));
}

function hasFramesBehindItsEnd({ frames }: Session, stream: number): boolean {
  const ofStream = frames.filter((frame) => frame.stream === stream);
  const end = ofStream.findIndex(endsStream);
  return end >= 0 && end < ofStream.length - 1;
}

/** A name that is no lower-case token, or a value with a control character or a blank at an end. */
function isMalformed([name, value]: readonly [string, string]): boolean {
  const isToken = /^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name);
  // eslint-disable-next-line no-control-regex -- these are the characters that the rule is about
  return !isToken || /[\0-\x08\n-\x1f\x7f]|^[ \t]|[ \t]$/.test(value);
}
