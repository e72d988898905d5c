// The CA files of outgoing connections. Reads files.
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { ConfigProblem } from "./config-problem.ts";
import { unreadable } from "./read-error.ts";

const CERTIFICATE = /-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----[\s\S]*?-----END \1-----/g;

/**
 * The CAs of a file, tried: OpenSSL passes over what it cannot read, and then trusts no server and does not say why.
 * @param file null for the CAs of the system
 * @param key where the configuration names the file
 * @throws {ConfigProblem} that names the key and the file and says what to do
 */
export function readCaFile(key: string, file: string): Buffer;
export function readCaFile(key: string, file: string | null): Buffer | null;
export function readCaFile(key: string, file: string | null): Buffer | null {
  if (file === null) return null;
  const fault = (what: string) => new ConfigProblem(key, `${file} ${what}`);
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw fault(unreadable(error));
  }
  if (bytes.length === 0) throw fault("is empty: put the CA's certificate there, PEM");
  const found = bytes.toString("latin1").match(CERTIFICATE) ?? [];
  if (found.length === 0) throw fault("holds no certificate in PEM form: put the CA's certificate there");
  const broken = found.findIndex((pem) => !isCertificate(pem));
  if (broken !== -1) throw fault(`is broken: certificate ${broken + 1} in it cannot be read; put it there anew`);
  return bytes;
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}
