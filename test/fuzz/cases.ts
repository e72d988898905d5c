// Makes the cases of a differential run: texts that we accept, with what policy sees of each. Pure.
import { bodyText } from "./generate-json.ts";
import { numberText } from "./generate-number.ts";
import { sequenceTexts } from "./generate-sequence.ts";
import { uriText } from "./generate-uri.ts";
import { mutate } from "./mutate.ts";
import { bodyForms, relayed, uriForms, type Forms } from "./policy-view.ts";
import { createRandom, type Random } from "./random.ts";
import { WIRE_JSON, WIRE_URI, type Text } from "./reader-child.ts";

export const KINDS = ["json", "mutated", "number", "sequence", "relay", "uri"] as const;
export type Kind = (typeof KINDS)[number];

export interface Case extends Text {
  readonly kind: Kind;
  readonly forms: Forms;
}

/** How often each kind comes, of 20. */
const SHARES: Readonly<Record<Kind, number>> = { json: 3, mutated: 4, number: 4, sequence: 4, relay: 1, uri: 4 };

export interface CaseSource {
  /** At least one case; several that belong together come at once. */
  next(): Case[];
  /** Texts that were made and that we refuse. */
  readonly refused: number;
}

export function createCases(seed: number, kinds: readonly Kind[] = KINDS): CaseSource {
  const random = createRandom(seed);
  const makers = createMakers(random);
  const wheel = kinds.flatMap((kind) => Array.from({ length: SHARES[kind] }, () => kind));
  let refused = 0;
  let serial = 0;
  return {
    next() {
      const kind = random.pick(wheel);
      for (;;) {
        serial += 1;
        const made = makers[kind](serial);
        const cases = made.filter((found) => found !== null);
        refused += made.length - cases.length;
        if (cases.length > 0) return cases;
      }
    },
    get refused() {
      return refused;
    },
  };
}

/** A body as a case; null if we refuse it. */
export function bodyCase(kind: Kind, bytes: Buffer): Case | null {
  const forms = bodyForms(bytes);
  return forms === null ? null : { kind, wire: WIRE_JSON, bytes, forms };
}

/** A resource URI as a case; null if we refuse it. */
export function uriCase(uri: string): Case | null {
  const forms = uriForms(uri);
  return forms === null ? null : { kind: "uri", wire: WIRE_URI, bytes: Buffer.from(uri), forms };
}

/** So many accepted bodies are kept to make others of. */
const POOL = 256;

function createMakers(random: Random): Readonly<Record<Kind, (serial: number) => (Case | null)[]>> {
  const pool: Buffer[] = [];
  const generated = (): Buffer => Buffer.from(bodyText(random));
  /** A mutant that we accept is mutated again later: so they get farther from what the generator makes. */
  const mutant = (): Case | null => {
    const made = bodyCase(
      "mutated",
      pool.length < POOL || random.oneIn(8) ? generated() : mutate(random.pick(pool), random),
    );
    if (made !== null && made.bytes.length < 2000)
      pool[pool.length < POOL ? pool.length : random.below(POOL)] = made.bytes;
    return made;
  };
  return {
    json: () => [bodyCase("json", generated())],
    mutated: () => [mutant()],
    number: () => {
      const params = `{"name":"t","arguments":{"n":${numberText(random)}}}`;
      return [bodyCase("number", Buffer.from(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${params}}`))];
    },
    sequence: (serial) => sequenceTexts(random, serial).map((text) => bodyCase("sequence", Buffer.from(text))),
    relay: () => {
      const found = relayed(generated(), random.oneIn(2) ? "modern" : "legacy");
      return [found === null ? null : { kind: "relay", wire: WIRE_JSON, ...found }];
    },
    uri: () => [uriCase(uriText(random))],
  };
}
