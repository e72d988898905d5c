// The client of a call that may take several of her requests: each has a response of its own. I/O by client-response.ts.
import type { ResponseSink } from "../sessions/message-response.ts";
import type { Refused } from "../../authz/step.ts";
import { innerObjectSpan, readObjectSpan, splice } from "../../json/spans.ts";
import { idOf, type ServerNotification } from "../../mcp/upstream-message.ts";
import type { Accepts } from "../../mcp/accept-header.ts";
import type { Hold } from "../held-bytes.ts";
import type { RelayCall } from "./admit.ts";
import { keepAlive, openStream, sendResponse, type RelayClient } from "./client-response.ts";

/** How each of her responses is watched. */
export interface CallClientOptions {
  /** Called when she closes a response that is under way. */
  readonly onLeft: () => void;
  readonly keepAliveMs: number;
}

/** Her request of now, as the relay sees its client. */
export class CallClient implements RelayClient {
  /** Of the first request: what is held for the call is held there until it ends. */
  readonly hold: Hold;
  readonly #options: CallClientOptions;
  #now: RelayClient;
  #body: Buffer | null = null;
  #left: PromiseWithResolvers<Refused | null> | null = null;
  #letGo: (() => void) | null = null;

  constructor(client: RelayClient, options: CallClientOptions) {
    this.hold = client.hold;
    this.#now = client;
    this.#options = options;
  }

  get response(): ResponseSink {
    return this.#now.response;
  }

  get accepts(): Accepts {
    return this.#now.accepts;
  }

  get requestId(): string {
    return this.#now.requestId;
  }

  errorBody(refused: Refused): string {
    return this.#now.errorBody(refused);
  }

  /** True while she has her response, and has not come back. */
  get isAway(): boolean {
    return this.#left === null;
  }

  /** Her later request's id, byte for byte; null in the first. */
  get laterId(): Buffer | null {
    const place = this.#body === null ? undefined : readObjectSpan(this.#body)?.members.get("id");
    return place === undefined || this.#body === null ? null : this.#body.subarray(place.start, place.end);
  }

  /** Begins a request of hers. Resolves once it is over: null if she has her response. */
  begin(next?: { readonly call: RelayCall; readonly client: RelayClient }): Promise<Refused | null> {
    if (next !== undefined) {
      this.#now = next.client;
      this.#body = next.call.body;
    }
    this.#left = Promise.withResolvers();
    this.response.on("close", this.#options.onLeft);
    keepAlive(this.#now, this.#options.keepAliveMs);
    if (this.response.closed) this.#options.onLeft();
    return this.#left.promise;
  }

  /** Ends her request with a result. The call goes on without her. */
  sendAway(body: readonly Uint8Array[]): void {
    this.#letGo ??= this.hold.retain();
    const client = this.#now;
    this.#over(null);
    sendResponse(client, { status: 200, body });
  }

  /** Ends her stream: she comes back for the rest. */
  leave(): void {
    this.#letGo ??= this.hold.retain();
    const { response } = this;
    this.#over(null);
    response.end();
  }

  /** She has come back for the rest, which this response is for. */
  comeBack(response: ResponseSink): void {
    const before = this.#now;
    const { requestId, hold } = before;
    this.#now = { response, requestId, hold, accepts: before.accepts, errorBody: before.errorBody };
    void this.begin();
    openStream(this.#now);
  }

  /** The call has ended. */
  end(refused: Refused | null): void {
    this.#over(refused);
    this.#letGo?.();
  }

  /** A notification with the token of her request of now; null if that has none. */
  inItsTerms(data: Buffer, { method }: ServerNotification): Buffer | null {
    if (this.#body === null || method !== "notifications/progress") return data;
    const meta = innerObjectSpan(this.#body, paramsIn(this.#body)?.members.get("_meta"));
    const own = meta?.members.get("progressToken");
    const place = paramsIn(data)?.members.get("progressToken");
    if (own === undefined || place === undefined || idOf(this.#body, own) === null) return null;
    return splice(data, [{ ...place, text: this.#body.subarray(own.start, own.end) }]);
  }

  #over(refused: Refused | null): void {
    this.response.off("close", this.#options.onLeft);
    this.#left?.resolve(refused);
    this.#left = null;
  }
}

function paramsIn(message: Buffer) {
  return innerObjectSpan(message, readObjectSpan(message)?.members.get("params"));
}
