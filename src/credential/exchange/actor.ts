// The gateway's own token (RFC 6749 §4.4), the actor token of a delegation (RFC 8693 §1.1, §2.1). I/O through the endpoint.
import { singleFlight } from "../../async/single-flight.ts";
import { createClientAuth, type OAuthClient } from "./client-auth.ts";
import { askForOwnToken, NO_TARGET, type OwnToken } from "./own-token.ts";
import type { TokenEndpoint } from "./token-endpoint.ts";

/** The gateway's own token, which makes it the actor of an exchange. */
export interface ActorToken {
  readonly token: string;
  /** The value that the IdP should put into `act.sub`. */
  readonly subject: string;
}

export interface Actor {
  /** Returns a valid token, or the reason for which there is none. Concurrent calls share one request. */
  get(): Promise<ActorToken | string>;
  /** Reports that an exchange with this token was refused: the next exchange gets a new token, unless this one is new. */
  drop(token: ActorToken): void;
}

export interface ActorDeps {
  readonly endpoint: TokenEndpoint;
  readonly client: OAuthClient;
  readonly timeoutMs: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Called after each request for a token, with the fault or null. */
  readonly onResult: (fault: string | null) => void;
}

/** A younger token is not dropped after a refusal: a caller that is always refused must not cost a token each time. */
const MIN_USE_MS = 30_000;

/** Caches the gateway's own token until shortly before its end. Same client and endpoint as the exchange. */
export function createActor({ endpoint, client, timeoutMs, now, onResult }: ActorDeps): Actor {
  const prove = createClientAuth(client, endpoint.url, now);
  const request = { endpoint, prove, clientId: client.id, target: NO_TARGET, timeoutMs, now };
  let current: OwnToken | null = null;

  const ask = singleFlight(async (): Promise<OwnToken | string> => {
    const read = await askForOwnToken(request);
    if (typeof read !== "string") current = read;
    onResult(typeof read === "string" ? read : null);
    return read;
  });

  return {
    async get() {
      return current !== null && now() < current.life.endsAt ? current : ask();
    },
    drop(token) {
      if (current?.token === token.token && now() - current.askedAt >= MIN_USE_MS) current = null;
    },
  };
}
