// A Check over gRPC, as the bench sends it.
import { Client, credentials } from "@grpc/grpc-js";
import type { Call } from "./harness.ts";
import { checkMessage, codecs, FULL_PROTO, type CheckParts } from "../test/fakes/check-request.ts";

const { request, response } = codecs(FULL_PROTO);
const identity = (bytes: Buffer) => bytes;
const DEADLINE_MS = 5000;

/** The bytes of a Check. */
export function checkBytes(parts: CheckParts): Buffer {
  return request.encode(checkMessage(parts));
}

/**
 * A call that sends the same Check each time. The first answer must be an allow, and each further one as long as it, so
 * that refusals are not measured.
 */
export function checkCall(address: string, bytes: Buffer): Call {
  const client = new Client(address, credentials.createInsecure());
  let expected: number | null = null;
  return async () => {
    const answer = await send(client, bytes);
    expected ??= allowedLength(answer);
    if (answer.length !== expected) throw new Error(`${address}: another answer than the first`);
  };
}

/** @throws {Error} where one of these Checks is allowed: then the work that is measured is another one */
export async function requireRefusals(address: string, checks: readonly Buffer[]): Promise<void> {
  const client = new Client(address, credentials.createInsecure());
  for (const check of checks) {
    const { status } = response.decode(await send(client, check)) as { status: { code: number } };
    if (status.code === 0) throw new Error(`${address} allows what it must refuse: nothing to measure`);
  }
  client.close();
}

function send(client: Client, bytes: Buffer): Promise<Buffer> {
  return new Promise((done, fail) => {
    client.makeUnaryRequest(
      "/envoy.service.auth.v3.Authorization/Check",
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

function allowedLength(answer: Buffer): number {
  const { status } = response.decode(answer) as { status: { code: number } };
  if (status.code !== 0) throw new Error("the request of the bench is refused: nothing to measure");
  return answer.length;
}
