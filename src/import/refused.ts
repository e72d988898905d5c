// `response.unauthenticated` and `unauthorized` of an AuthPolicy: what a refused client is told. Our refusals are one table. Pure.
import type { Report } from "./report.ts";
import type { Field } from "./source.ts";

/** @returns how refusals look: as in the source, by the HTTP status, or as by default */
export function readRefused(response: Field | null, report: Report): "http" | null {
  const [unauthenticated, unauthorized] = [
    response?.get("unauthenticated") ?? null,
    response?.get("unauthorized") ?? null,
  ];
  if (unauthenticated !== null) checkDenial(unauthenticated, 401, report);
  if (unauthorized !== null) checkDenial(unauthorized, 403, report);
  return unauthorized === null ? null : "http";
}

function checkDenial(denial: Field, status: number, report: Report): void {
  const code = denial.get("code");
  if (code !== null && code.value !== status) {
    const answers = `answered with ${status} here: clients tell by it that a token is missing (401) or does not suffice (403)`;
    if (code.value === 401 || code.value === 403 || code.value === 404) report.note(code, answers);
    else
      report.leftOut(
        code,
        `${answers}; what sends people elsewhere belongs into the client or in front of the gateway`,
      );
  }
  for (const [name, header] of denial.get("headers")?.entries ?? []) {
    if (name.toLowerCase() === "www-authenticate")
      noted(header, "the challenge is made here, with the metadata of each endpoint: nothing to do", report);
    else report.leftOut(header, "a refusal has the headers of docs/refusals.md only: take it out, or let Envoy add it");
  }
  for (const name of ["message", "body"]) {
    const field = denial.get(name);
    if (field !== null) noted(field, "the text of a refusal is that of docs/refusals.md", report);
  }
}

function noted(field: Field, message: string, report: Report): void {
  field.take();
  report.note(field, message);
}
