// The kept inputs of the other fuzz targets as CheckRequests: as messages, as bodies and as tokens.
import { checkMessage, codecs, FULL_PROTO } from "../../fakes/check-request.ts";
import { readCorpus } from "../corpus.ts";
import { inputsOf } from "../target-corpus.ts";

const { request } = codecs(FULL_PROTO);
const headers = { authorization: "Bearer token" };

function withBody(body: Buffer): Buffer[] {
  return [
    request.encode(checkMessage({ body, headers })),
    request.encode(checkMessage({ body, headers, form: "map" })),
  ];
}

function withToken(token: Buffer): Buffer {
  const message = checkMessage({ body: "{}" }) as {
    attributes: { request: { http: { header_map: { headers: { key: string; raw_value: Buffer }[] } } } };
  };
  const raw_value = Buffer.concat([Buffer.from("Bearer "), token]);
  message.attributes.request.http.header_map.headers.push({ key: "authorization", raw_value });
  return request.encode(message);
}

/** One message each. */
export function fixedInputs(): Buffer[] {
  const texts = [...readCorpus().values()].flatMap(({ texts }) => texts.map((text) => Buffer.from(text)));
  const bodies = [...inputsOf("json"), ...inputsOf("definitions"), ...inputsOf("stream"), ...texts];
  const tokens = [...inputsOf("token"), ...inputsOf("keys")];
  return [...inputsOf("codec"), ...bodies.flatMap(withBody), ...tokens.map(withToken)];
}
