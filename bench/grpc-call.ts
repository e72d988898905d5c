// A Check over gRPC, as the bench sends it.
import { Client, credentials } from "@grpc/grpc-js";
import type { Call } from "./harness.ts";
import { wireCall } from "./wire-client.ts";
import { checkMessage, codecs, FULL_PROTO, type CheckParts } from "../test/fakes/check-request.ts";

const { request, response } = codecs(FULL_PROTO);
const identity = (bytes: Buffer) => bytes;
const DEADLINE_MS = 5000;

/** The bytes of a Check. */
export function checkBytes(parts: CheckParts): Buffer {
  return request.encode(checkMessage(parts));
}

const CHECK = "/envoy.service.auth.v3.Authorization/Check";

/**
 * A call that sends the same Check each time. The first answer must be an allow, and each further one as long as it, so
 * that refusals are not measured.
 */
export function checkCall(address: string, bytes: Buffer): Promise<Call> {
  return wireCall([address, CHECK], bytes, isAllow);
}

/** @throws {Error} where one of these Checks is allowed: then the work that is measured is another one */
export async function requireRefusals(address: string, checks: readonly Buffer[]): Promise<void> {
  const client = new Client(address, credentials.createInsecure());
  for (const check of checks) {
    if (isAllow(await send(client, check)))
      throw new Error(`${address} allows what it must refuse: nothing to measure`);
  }
  client.close();
}

function send(client: Client, bytes: Buffer): Promise<Buffer> {
  return new Promise((done, fail) => {
    client.makeUnaryRequest(
      CHECK,
      identity,
      identity,
      bytes,
      { deadline: Date.now() + DEADLINE_MS },
      (error, answer) => {
        if (error || answer === undefined) fail(error ?? new Error("no answer"));
        else done(answer);
      },
    );
  });
}

function isAllow(answer: Buffer): boolean {
  const { status } = response.decode(answer) as { status: { code: number } };
  return status.code === 0;
}
