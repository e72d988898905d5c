// Placeholders for what a verified token says of its caller, as `{subject}`, `{claim:tenant}` or `{subject:base32}`. Pure.
import type { Identity } from "../authz/types.ts";
import { isPlainText } from "../jose/act-claim.ts";
import { claimAt } from "../jose/claim.ts";

/** What stands for a part of the caller's token. */
export interface CallerPlaceholder {
  readonly of: "username" | "subject" | "issuerAlias" | "claim";
  /** The claim's name, or a JSON Pointer; empty for the others. */
  readonly claim: string;
  readonly isBase32: boolean;
}

export type CallerFacts = Pick<Identity, "subject" | "username" | "claims"> & {
  /** The configured short name of the caller's issuer. */
  readonly issuerAlias: string | null;
};

const FORM =
  /^(?:(username|subject|issuerAlias)|claim:([A-Za-z0-9_.-]{1,128}|(?:\/[A-Za-z0-9_.~-]{1,128}){1,8}))(:base32)?$/;

/** Reads what stands between the braces; null for anything else. An alias is a plain word already. */
export function readPlaceholder(text: string): CallerPlaceholder | null {
  const [whole, of, claim = "", spelling] = FORM.exec(text) ?? [];
  if (whole === undefined || (of === "issuerAlias" && spelling !== undefined)) return null;
  return { of: (of as CallerPlaceholder["of"] | undefined) ?? "claim", claim, isBase32: spelling !== undefined };
}

/** The value, unchecked but for its type; null where the token has none. A number is none: `1` and `"1"` would be one text. */
export function valueOf({ of, claim, isBase32 }: CallerPlaceholder, caller: CallerFacts): string | null {
  const value = of === "claim" ? claimAt(caller.claims, claim) : caller[of];
  // A lone surrogate has no bytes of its own: two names would be one.
  if (value === null || !isPlainText(value) || !value.isWellFormed()) return null;
  return isBase32 ? base32(value) : value;
}

/** The text of a placeholder, the same for the same meaning. */
export function placeholderText({ of, claim, isBase32 }: CallerPlaceholder): string {
  return `{${of === "claim" ? `claim:${claim}` : of}${isBase32 ? ":base32" : ""}}`;
}

const ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";

/** RFC 4648 §6 of the UTF-8 bytes, in lower case and without padding. Injective for well-formed texts. */
export function base32(text: string): string {
  let [bits, length, out] = [0, 0, ""];
  for (const byte of Buffer.from(text)) {
    bits = ((bits << 8) | byte) & 0xfff;
    for (length += 8; length >= 5; length -= 5) out += ALPHABET[(bits >> (length - 5)) & 31];
  }
  return length === 0 ? out : out + ALPHABET[(bits << (5 - length)) & 31];
}

/** Text with placeholders in it. */
export type CallerTemplate = readonly (string | CallerPlaceholder)[];

const BRACES = /(\{[^{}]*\})/;
/** Beside other text: nothing that could end the value or begin another one. */
const WORD = /^[A-Za-z0-9_-][A-Za-z0-9._@-]{0,127}$/;
/** Alone: visible ASCII but `"`, `,` and `;`, which separate values of a header. */
const ALONE = /^[!#-+\--:<-~]{1,256}$/;

/** Takes a text apart. What is in braces and no placeholder stays as it is. */
export function readTemplate(text: string): CallerTemplate {
  return text
    .split(BRACES)
    .filter((part) => part !== "")
    .map((part) => (BRACES.test(part) ? (readPlaceholder(part.slice(1, -1)) ?? part) : part));
}

export function hasPlaceholder(text: string): boolean {
  return readTemplate(text).some((part) => typeof part !== "string");
}

/** Why a text with braces is no template: a slip in a name, or values that nothing keeps apart. Null where there is no fault. */
export function templateFault(text: string): string | null {
  const parts = readTemplate(text);
  const slip = parts.find((part) => typeof part === "string" && /^\{[A-Za-z]+[^{}"]*\}$/.test(part));
  if (typeof slip === "string")
    return `${slip} is no placeholder; there are {username}, {subject}, {issuerAlias}, {claim:NAME}, and :base32`;
  return isApart(parts)
    ? null
    : "has two placeholders, and between them no character that no value has, such as / or : or |: two callers could have one value";
}

/**
 * True where a text is made of one set of values only: between each two placeholders stands a character that no value has; or all
 * values but one are base32, and between each two stands what base32 does not have.
 */
function isApart(parts: CallerTemplate): boolean {
  const places = parts.flatMap((part, i) => (typeof part === "string" ? [] : [{ i, isPlain: !part.isBase32 }]));
  const onePlain = places.filter(({ isPlain }) => isPlain).length <= 1;
  const separator = onePlain ? /[^a-z2-7]/ : /[^A-Za-z0-9._@-]/;
  return places.slice(1).every(({ i: to }, n) => {
    const between = parts.slice((places[n]?.i ?? 0) + 1, to);
    return between.some((part) => typeof part === "string" && separator.test(part));
  });
}

/** Fills the values in; null where one is absent or could be read as more than one value. */
export function fillTemplate(template: CallerTemplate, caller: CallerFacts): string | null {
  const form = template.length === 1 ? ALONE : WORD;
  let out = "";
  for (const part of template) {
    const value = typeof part === "string" ? part : valueOf(part, caller);
    if (value === null || (typeof part !== "string" && !form.test(value))) return null;
    out += value;
  }
  return out;
}
