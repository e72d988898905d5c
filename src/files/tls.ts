// The certificate, key and client CA of a listener. Reads files.
import { createPrivateKey, X509Certificate, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { ConfigProblem } from "./config-problem.ts";
import { errorCode } from "./read-error.ts";

/** The files of one listener, as the configuration names them. */
export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly clientCaFile: string | null;
  readonly clientSans: readonly string[];
}

/**
 * Reads a listener's TLS files and tries them, so that no server is given material it cannot use: a pair that does not
 * match, or an expired certificate, would refuse every new connection.
 * @param at the listener's key in the configuration, as `tls.authz`
 * @param now milliseconds since the epoch
 * @throws {ConfigProblem} that names the key at fault and says what to do
 */
export function readTlsFiles(at: string, files: TlsFiles, now: number) {
  const read = (key: "certFile" | "keyFile" | "clientCaFile", file: string) => {
    try {
      return readFileSync(file);
    } catch {
      throw new ConfigProblem(`${at}.${key}`, `${file} cannot be read: does it exist, and may this user read it?`);
    }
  };
  const fault = (key: "certFile" | "keyFile" | "clientCaFile", what: string) =>
    new ConfigProblem(`${at}.${key}`, `${files[key]} ${what}`);
  const cert = read("certFile", files.certFile);
  const key = read("keyFile", files.keyFile);
  const clientCa = files.clientCaFile === null ? null : read("clientCaFile", files.clientCaFile);
  const certificate = certificateIn(cert);
  if (certificate === null) throw fault("certFile", "holds no certificate in PEM form");
  if (now < certificate.validFromDate.getTime())
    throw fault("certFile", "is not valid yet: is this machine's clock right?");
  if (now >= certificate.validToDate.getTime()) throw fault("certFile", "has expired: renew it");
  const privateKey = privateKeyIn(key);
  if (privateKey === null) throw fault("keyFile", "holds no private key in PEM form without a passphrase");
  if (!certificate.checkPrivateKey(privateKey)) throw fault("keyFile", `is not the key of ${files.certFile}`);
  if (clientCa !== null && certificateIn(clientCa) === null)
    throw fault("clientCaFile", "holds no certificate in PEM form");
  const refused = refusedByOpenssl({ key, cert, ...(clientCa && { ca: clientCa }) });
  if (refused !== null) throw fault("certFile", `cannot be used: ${refused}`);
  return { key, cert, clientCa, clientSans: files.clientSans };
}

function certificateIn(pem: Buffer): X509Certificate | null {
  try {
    return new X509Certificate(pem);
  } catch {
    return null;
  }
}

function privateKeyIn(pem: Buffer): KeyObject | null {
  try {
    return createPrivateKey(pem);
  } catch {
    return null;
  }
}

/** Too weak a key, a broken chain: OpenSSL's word for it, or null. */
function refusedByOpenssl(context: Parameters<typeof createSecureContext>[0]): string | null {
  try {
    createSecureContext(context);
    return null;
  } catch (error) {
    return errorCode(error, "OpenSSL refuses it");
  }
}
