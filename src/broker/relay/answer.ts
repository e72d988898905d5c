// The places of a server's JSON-RPC response that its client gets in other words: the id, the code of an error, members that
// her revision requires, URIs on the merged endpoint. Every other byte passes. Pure.
import { membersOf, withRules, type Place } from "../../json/places.ts";
import { createRewriter, type Rewriter } from "../../json/rewriter.ts";
import { isOfTask } from "../../mcp/method-table.ts";
import type { Operation } from "../../mcp/operation.ts";
import { idOf, shortValue } from "../../mcp/upstream-message.ts";
import { MODERN } from "../../mcp/versions.ts";
import { resultNameRules } from "./result-names.ts";
import type { RelayRequest } from "./request.ts";
import { clientTaskId } from "./tasks.ts";

/**
 * The text is not the response to this request (`not_an_answer`), or asks a client of an older revision for what she cannot
 * give (`capability_missing`).
 */
export class AnswerFault extends Error {
  readonly code: "not_an_answer" | "capability_missing";

  constructor(code: AnswerFault["code"]) {
    super(code);
    this.code = code;
  }
}

/** A response on its way. Its rewriter throws {@link AnswerFault}, or a fault of its own for what is no JSON. */
export interface Answer extends Rewriter {
  /** True once the text has said that it answers this request. */
  readonly isOurs: boolean;
  /** The server's code of an error; null until it came, and for a result. */
  readonly errorCode: number | null;
  /** True once the result may be no answer, but ask the client: then nothing of it goes on to her before it is complete. */
  readonly mayAsk: boolean;
  /** True once it has said that it asks her. */
  readonly isAsking: boolean;
}

export interface AnswerOptions {
  readonly request: RelayRequest;
  readonly operation: Operation;
  /** True if an error may have `null` for its id (JSON-RPC 2.0 §5): then this exchange says whose it is. */
  readonly mayLackId?: boolean;
}

const ROOT = new Set(["jsonrpc", "id", "result", "error"]);
/** MissingRequiredClientCapability of the stateless revision. */
const MISSING_CAPABILITY = -32_021;
/** HeaderMismatch and UnsupportedProtocolVersion: what the server says of the broker's own request. */
const OF_THE_RELAY: readonly number[] = [-32_020, -32_022];
const INTERNAL_ERROR = "-32603";

/** What was read of a response. */
interface Read {
  isVersioned: boolean;
  isOurs: boolean;
  hasNullId: boolean;
  errorCode: number | null;
  mayAsk: boolean;
  isAsking: boolean;
}

/** The response to one request, rewritten as it comes. */
export function createAnswer(options: AnswerOptions): Answer {
  const read: Read = {
    isVersioned: false,
    isOurs: false,
    hasNullId: false,
    errorCode: null,
    mayAsk: false,
    isAsking: false,
  };
  const rewriter = createRewriter(rootPlace(options, read));
  return {
    push: (chunk) => rewriter.push(chunk),
    end: () => rewriter.end(),
    get isOurs() {
      return read.isOurs;
    },
    get errorCode() {
      return read.errorCode;
    },
    get mayAsk() {
      return read.mayAsk;
    },
    get isAsking() {
      return read.isAsking;
    },
  };
}

function rootPlace({ request, operation, mayLackId = false }: AnswerOptions, read: Read): Place {
  const version = (text: Buffer) => {
    read.isVersioned = valueOf(text) === "2.0";
    return null;
  };
  const id = (text: Buffer) => {
    read.isOurs = idOf(text, wholeOf(text)) === request.wireId;
    read.hasNullId = mayLackId && valueOf(text) === null;
    if (!read.isOurs && !read.hasNullId) throw new AnswerFault("not_an_answer");
    return request.clientId;
  };
  const code = (text: Buffer) => codeFor(text, operation, read);
  const close = (names: ReadonlySet<string>) => {
    const isOne = names.has("result") !== names.has("error");
    const hasId = read.isOurs || (read.hasNullId && names.has("error"));
    const isWhole = read.isVersioned && hasId && isOne && names.has("error") === (read.errorCode !== null);
    if (!isWhole) throw new AnswerFault("not_an_answer");
    return "";
  };
  const members = membersOf({
    jsonrpc: { scalar: version },
    id: { scalar: id },
    result: resultPlace(request, operation, read),
    error: { mustBeObject: true, members: membersOf({ code: { scalar: code } }) },
  });
  return { mustBeObject: true, members, only: ROOT, close };
}

/** An older client gets no code that her revision does not have. */
function codeFor(text: Buffer, { version }: Operation, read: Read): string | null {
  const code = valueOf(text);
  if (typeof code !== "number" || !Number.isSafeInteger(code)) throw new AnswerFault("not_an_answer");
  read.errorCode = code;
  if (version === MODERN) return null;
  if (code === MISSING_CAPABILITY) throw new AnswerFault("capability_missing");
  return OF_THE_RELAY.includes(code) ? INTERNAL_ERROR : null;
}

function resultPlace(request: RelayRequest, operation: Operation, read: Read): Place {
  const { dialect, mapUri } = request;
  const rules = mapUri === null ? [] : resultNameRules(operation.method, mapUri);
  const isModernClient = operation.version === MODERN;
  if (!isModernClient) return withRules({ mustBeObject: true, members: olderResult(request, read) }, rules);
  const needed = dialect.era === "legacy" ? Object.entries(modernMembers(operation)) : [];
  const close = (names: ReadonlySet<string>) =>
    needed.flatMap(([name, text]) => (names.has(name) ? [] : [`"${name}":${text}`])).join();
  return withRules({ mustBeObject: true, close, members: modernResult(request, operation) }, rules);
}

/** A task goes to a client that knows tasks alone, under its sealed id: with the server's own, anybody might ask for it. */
function modernResult({ task }: RelayRequest, { method }: Operation): ReadonlyMap<string, Place> {
  const isTasks = isOfTask(method);
  const resultType = (text: Buffer) => {
    if (valueOf(text) === "task" && task.kind !== "may-make") throw new AnswerFault("capability_missing");
    return null;
  };
  const taskId = (text: Buffer) => {
    const id = clientTaskId(task, valueOf(text));
    if (id === null) throw new AnswerFault("not_an_answer");
    return JSON.stringify(id);
  };
  const isMapped = isTasks || task.kind === "may-make";
  return membersOf({ resultType: { scalar: resultType }, ...(isMapped && { taskId: { scalar: taskId } }) });
}

/**
 * A client of an older revision takes no result but a complete one: a server that has a task is not for her, and one that asks
 * back only if she can be asked (input-required.ts).
 */
function olderResult(request: RelayRequest, read: Read): ReadonlyMap<string, Place> {
  const resultType: Place = {
    scalar(text) {
      const type = valueOf(text);
      read.isAsking = request.mayAsk && type === "input_required";
      if (type !== "complete" && !read.isAsking) throw new AnswerFault("capability_missing");
      read.mayAsk ||= read.isAsking;
      return null;
    },
    noScalar() {
      throw new AnswerFault("capability_missing");
    },
  };
  if (!request.mayAsk) return membersOf({ resultType });
  const noScalar = () => void (read.mayAsk = true);
  const scalar = () => {
    noScalar();
    return null;
  };
  return membersOf({ resultType, inputRequests: { scalar, noScalar }, requestState: { scalar, noScalar } });
}

/** Members that the stateless revision requires of a result, and older ones do not have. */
function modernMembers({ method }: Operation): Readonly<Record<string, string>> {
  const caching = method === "resources/read" ? { ttlMs: "0", cacheScope: '"private"' } : {};
  return { resultType: '"complete"', ...caching };
}

function wholeOf(text: Buffer) {
  return { start: 0, end: text.length };
}

function valueOf(text: Buffer): unknown {
  return shortValue(text, wholeOf(text));
}
