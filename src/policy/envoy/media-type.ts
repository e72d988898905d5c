// What a `content-type` says of a body, in one reading or none: two programs that each find their own word in it would read two
// bodies. Pure. RFC 9110 §8.3.1.

export type Media = "json" | "form" | "parts" | "other";

const JSON_TYPE = "application/json";
const MEDIA: Readonly<Record<string, Media>> = {
  [JSON_TYPE]: "json",
  "application/x-www-form-urlencoded": "form",
  "multipart/form-data": "parts",
};
/** As `application/json-patch+json`, which is JSON (RFC 6839 §3.1) and which the plugin reads. */
const SUFFIXED = /^application\/json-[a-z0-9.-]+\+json$/;
/** No parameter but the one encoding that is read here. */
const UTF8 = /^(?:;[\t ]*(?:charset=(?:utf-8|"utf-8")[\t ]*)?)?$/i;

/** Null for a type that has no one reading. The parameters of multipart/form-data are for form-data.ts. */
export function mediaOf(contentType: string): Media | null {
  const [first = ""] = contentType.split(";", 1);
  const essence = first.replace(/^[\t ]+|[\t ]+$/g, "").toLowerCase();
  const rest = contentType.slice(first.length);
  const media = SUFFIXED.test(essence) ? "json" : Object.hasOwn(MEDIA, essence) ? MEDIA[essence] : undefined;
  if (media === "json" || media === "form") return UTF8.test(rest) ? media : null;
  const elsewhere = media === undefined ? contentType : rest;
  return namesOne(elsewhere) ? null : (media ?? "other");
}

function namesOne(text: string): boolean {
  return Object.keys(MEDIA).some((name) => text.toLowerCase().includes(name));
}

/** What a part of a form holds, by its own `content-type`; null for what programs read differently. */
export function partMedia(contentType: string | undefined): "text" | "json" | null {
  if (contentType === undefined) return "text";
  if (mediaOf(contentType) === "json") return "json";
  return /^text\/plain[\t ]*(.*)$/i
    .exec(contentType)
    ?.slice(1)
    .every((rest) => UTF8.test(rest)) === true
    ? "text"
    : null;
}
