import { expect, it } from "vitest";
import { faultOf, HttpFault } from "./fault.ts";

const withCode = (code: unknown, name = "Error") => Object.assign(new Error("s3cr3t https://host"), { code, name });

it.each<[unknown, string, string | null]>([
  [new HttpFault("status_401"), "status_401", null],
  [AbortSignal.abort().reason, "aborted", null],
  [new DOMException("", "TimeoutError"), "timeout", null],
  [withCode("UND_ERR_CONNECT_TIMEOUT"), "timeout", null],
  [withCode("UND_ERR_SOCKET"), "cut_off", null],
  [withCode("ECONNRESET"), "cut_off", null],
  [withCode(undefined, "HTTPParserError"), "not_http", null],
  [withCode("ENOTFOUND"), "unreachable", "ENOTFOUND"],
  [withCode("CERT_HAS_EXPIRED"), "tls", "CERT_HAS_EXPIRED"],
  [withCode("EMFILE"), "failed", "EMFILE"],
  [withCode("https://host/path"), "failed", null],
  [withCode(7), "failed", null],
  ["s3cr3t", "failed", null],
])("%s is %s", (error, code, systemCode) => {
  const fault = faultOf(error);
  expect([fault.code, fault.systemCode, fault.message]).toEqual([code, systemCode, systemCode ?? code]);
  expect(fault.cause).toBeUndefined();
});
