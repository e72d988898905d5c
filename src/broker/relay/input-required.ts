// A server of the stateless revision asks the client of a call (`input_required`): each of its questions goes to her as a request
// of a server, on the stream of her call, and the same call goes to the server again with her answers. I/O by its parts.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/utilities/mrtr
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { pass, refuse, type Refused, type Step } from "../../authz/step.ts";
import { innerObjectSpan, readObjectSpan, setMembers, splice, type Span } from "../../json/spans.ts";
import { shortValue } from "../../mcp/upstream-message.ts";
import { MODERN } from "../../mcp/versions.ts";
import { HttpFault } from "../../http/client.ts";
import { orAborted } from "../abort.ts";
import { NO_ROOM } from "../room.ts";
import { canGiveInput } from "../sessions/client-capabilities.ts";
import type { ClientAnswers, Question } from "../sessions/client-answers.ts";
import type { Brake } from "../upstream/brake.ts";
import type { RelayCall } from "./admit.ts";
import { MAX_ASKED_BYTES, type Asked, type CallAsking, type CallInputs } from "./asking.ts";
import type { CallTimeout } from "./call-timeout.ts";
import { beginStream, type RelayClient } from "./client-response.ts";

/** A call under way. */
export interface AskingCall {
  readonly call: RelayCall;
  readonly client: RelayClient;
  readonly timeout: CallTimeout;
}

/** Times that a server may ask during one call. */
const MAX_ROUNDS = 8;
/** Questions of one round. */
const MAX_QUESTIONS = 16;
/** Bytes of all answers of one round. */
const MAX_ANSWER_BYTES = 1024 * 1024;
/** Before the same call goes again to a server that asks nobody anything: so it sheds load. */
const NOTHING_ASKED_MS = 250;
/** Requests whose results may ask. */
const ASKING_METHODS = new Set(["tools/call", "prompts/get", "resources/read"]);

/** Sends a call, and sends it again with its client's answers as long as its server asks. @throws {HttpFault} */
export async function withAnswers(
  current: AskingCall,
  send: (call: RelayCall) => Promise<Refused | Asked | null>,
): Promise<Refused | null> {
  const { session } = current.call;
  const able = askingOf(current);
  let inputs: CallInputs | null = null;
  for (let round = 0; ; round++) {
    const asking = able === null ? null : { ...able, inputs };
    const result = await send({ ...current.call, asking });
    if (result === null || result.ok !== "asked") return result;
    if (asking === null || session === null) return refuse("capability_missing", "input_required");
    if (round === MAX_ROUNDS) return refuse("upstream_unavailable", "input_rounds");
    const given = await inputsFor(result.bytes, { ...current, asking, answers: session.answers });
    if (!given.ok) return given;
    inputs = given.value;
  }
}

function askingOf({ call: { session, operation }, client }: AskingCall): CallAsking | null {
  if (session === null || operation.version === MODERN || !client.accepts.stream) return null;
  const isAble = ASKING_METHODS.has(operation.method) && Object.keys(session.capabilities).length > 0;
  return isAble ? { capabilities: session.capabilities, inputs: null } : null;
}

interface AskedClient extends AskingCall {
  readonly asking: CallAsking;
  readonly answers: ClientAnswers;
}

async function inputsFor(bytes: Buffer, current: AskedClient): Promise<Step<CallInputs>> {
  const asked = bytes.length > MAX_ASKED_BYTES ? null : readAsked(bytes);
  if (asked === null) return refuse("upstream_unavailable", "input_required");
  const { requests, requestState } = asked;
  if (requests.some((request) => !isAnswerable(current.asking, request)))
    return refuse("capability_missing", "input_required");
  if (requests.length > 0) {
    const inputResponses = await askAll(requests, current);
    return inputResponses.ok ? pass({ inputResponses: inputResponses.value, requestState }) : inputResponses;
  }
  await orAborted(sleep(NOTHING_ASKED_MS), current.timeout.signal);
  return pass({ inputResponses: null, requestState });
}

/** One entry of `inputRequests`. */
interface InputRequest {
  readonly key: string;
  readonly method: string;
  /** JSON text; null where it has none. */
  readonly params: Buffer | null;
}

interface AskedInputs {
  readonly requests: readonly InputRequest[];
  readonly requestState: Buffer | null;
}

/** Null for what two parsers could read differently, for too much, and for nothing at all. */
function readAsked(bytes: Buffer): AskedInputs | null {
  const result = innerObjectSpan(bytes, readObjectSpan(bytes)?.members.get("result"));
  if (result === null) return null;
  const state = result.members.get("requestState");
  if (state !== undefined && bytes[state.start] !== QUOTE) return null;
  const requests = readInputRequests(bytes, result.members.get("inputRequests"));
  const isNothing = requests?.length === 0 && state === undefined;
  return requests === null || isNothing ? null : { requests, requestState: textAt(bytes, state) };
}

function readInputRequests(bytes: Buffer, span: Span | undefined): readonly InputRequest[] | null {
  if (span === undefined) return [];
  const entries = innerObjectSpan(bytes, span)?.members;
  if (entries === undefined || entries.size > MAX_QUESTIONS) return null;
  const requests = [...entries].map(([key, place]) => readInputRequest(bytes, key, place));
  return requests.includes(null) ? null : requests.filter((request) => request !== null);
}

const QUOTE = 0x22;

function readInputRequest(bytes: Buffer, key: string, span: Span): InputRequest | null {
  const members = innerObjectSpan(bytes, span)?.members;
  const method = shortValue(bytes, members?.get("method"));
  const params = members?.get("params");
  if (typeof method !== "string" || (params !== undefined && innerObjectSpan(bytes, params) === null)) return null;
  return { key, method, params: textAt(bytes, params) };
}

function textAt(bytes: Buffer, span: Span | undefined): Buffer | null {
  return span === undefined ? null : bytes.subarray(span.start, span.end);
}

function isAnswerable({ capabilities }: CallAsking, { method, params }: InputRequest): boolean {
  const members = params === null ? undefined : readObjectSpan(params)?.members;
  const isUrl = params !== null && shortValue(params, members?.get("mode")) === "url";
  return canGiveInput(capabilities, method, { isUrl, hasTools: members?.has("tools") === true });
}

/** Asks all at once. @returns the text of `inputResponses` @throws {HttpFault} why the call ended before */
async function askAll(requests: readonly InputRequest[], current: AskedClient): Promise<Step<Buffer>> {
  const { client, timeout, call, answers } = current;
  const goOn = timeout.hold();
  timeout.endAt(call.wristband.caller_exp * 1000);
  const asked: { readonly key: string; readonly question: Question }[] = [];
  try {
    const writer = beginStream(client, NO_SOURCE);
    for (const request of requests) {
      const question = answers.ask();
      if (question === null) return refuse("capability_missing", "questions");
      asked.push({ key: request.key, question });
      writer.event(messageFor(request, question.id), null);
    }
    const all = asked.map(async ({ key, question }) => {
      const response = await question.answer;
      // Answers wait for the others: they count as what is held for this call.
      if (response !== null && !client.hold.take(response.length)) throw new HttpFault(NO_ROOM);
      return { key, response };
    });
    return textOf(await orAborted(Promise.all(all), timeout.signal));
  } finally {
    for (const { question } of asked) question.forget();
    goOn();
  }
}

/** Nothing is read while she is asked. */
const NO_SOURCE: Brake = { hold: () => () => {} };

function messageFor({ method, params }: InputRequest, id: number): Buffer {
  const head = `{"jsonrpc":"2.0","id":${id},"method":${JSON.stringify(method)}`;
  if (params === null) return Buffer.from(`${head}}`);
  return Buffer.concat([Buffer.from(`${head},"params":`), olderParams(params), Buffer.from("}")]);
}

/** Older revisions have an id for each page that is opened, the stateless one has none. */
function olderParams(params: Buffer): Buffer {
  const object = readObjectSpan(params);
  const isUrl = object !== null && shortValue(params, object.members.get("mode")) === "url";
  if (!isUrl || object.members.has("elicitationId")) return params;
  return splice(params, setMembers(object, { elicitationId: JSON.stringify(randomUUID()) }));
}

interface Answered {
  readonly key: string;
  readonly response: Buffer | null;
}

/** An error of hers, or nothing, is no answer that the stateless revision could carry. */
function textOf(all: readonly Answered[]): Step<Buffer> {
  const parts: Buffer[] = [];
  let length = 0;
  for (const { key, response } of all) {
    const span = response === null ? null : innerObjectSpan(response, readObjectSpan(response)?.members.get("result"));
    if (response === null || span === null) return refuse("capability_missing", "no answer");
    length += span.end - span.start;
    if (length > MAX_ANSWER_BYTES) return refuse("capability_missing", "answers");
    const comma = parts.length === 0 ? "" : ",";
    parts.push(Buffer.from(`${comma}${JSON.stringify(key)}:`), response.subarray(span.start, span.end));
  }
  return pass(Buffer.concat([Buffer.from("{"), ...parts, Buffer.from("}")]));
}
