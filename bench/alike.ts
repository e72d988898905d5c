// Before anything is timed: who allows what must be refused, or answers without the work of the row, is not measured. I/O.
import { setTimeout as delay } from "node:timers/promises";
import type { Service, Variant, Verdict } from "./service.ts";

const ANSWER_MS = 5000;
/** A program that has just started may not know its keys, or its lists. */
const ATTEMPTS = 40;
const AGAIN_MS = 250;

/** @throws {Error} with what the variant does otherwise than all others */
export async function requireAlike({ title }: Variant, service: Service): Promise<void> {
  const [good] = service.good;
  if (good === undefined) throw new Error(`${title}: nothing to ask`);
  let first = await ask(service, good);
  const isReady = () => first.verdict === "allow" && service.shows?.(first.answer) !== false;
  for (let i = 0; i < ATTEMPTS && !isReady(); i += 1) {
    await delay(AGAIN_MS);
    first = await ask(service, good);
  }
  if (first.verdict !== "allow") throw new Error(`${title} answers a good request with ${first.verdict}`);
  if (!isReady()) throw new Error(`${title} allows, and does not do the work of this row`);
  for (const [what, request] of Object.entries(service.bad)) {
    const { verdict, answer } = await ask(service, request);
    const isEmpty = verdict === "allow" && service.isList === true && service.shows?.(answer) === false;
    if (verdict !== "deny" && !isEmpty)
      throw new Error(`${title} answers "${what}" with ${verdict}: it must refuse it`);
  }
}

async function ask(service: Service, request: Buffer): Promise<{ verdict: Verdict; answer: Buffer }> {
  const answered = Promise.withResolvers<Verdict>();
  const connection = await service.open([request], (_, verdict) => answered.resolve(verdict), 1);
  connection.send(0);
  connection.flush();
  const verdict = await Promise.race([answered.promise, delay(ANSWER_MS, "fault" as const, { ref: false })]);
  const answer = connection.last;
  connection.close();
  return { verdict, answer };
}
