// Certificates by openssl, for real TLS handshakes.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Pair {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: Buffer;
  readonly key: Buffer;
}

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

function openssl(folder: string, ...args: readonly string[]): void {
  execFileSync("openssl", args, { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
}

function pairIn(folder: string, name: string): Pair {
  const [certFile, keyFile] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)];
  return { certFile, keyFile, cert: readFileSync(certFile), key: readFileSync(keyFile) };
}

/** A certificate authority of its own. */
export function makeCa(folder: string, name: string): Pair {
  openssl(
    folder,
    ...["req", "-x509", ...KEY, "-keyout", `${name}.key`, "-out", `${name}.pem`, "-subj", `/CN=${name}`, "-days", "2"],
  );
  return pairIn(folder, name);
}

export interface LeafOptions {
  readonly name: string;
  /** As in openssl: `DNS:a.example.com` or `IP:127.0.0.1`. */
  readonly san: string;
  readonly ca: Pair;
  /** From now; −1 for one that has expired. */
  readonly days?: number;
}

/** A certificate that the authority signed. */
export function makeLeaf(folder: string, { name, san, ca, days = 2 }: LeafOptions): Pair {
  writeFileSync(join(folder, `${name}.ext`), `subjectAltName=${san}`);
  openssl(folder, "req", ...KEY, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
  const sign = ["-CA", ca.certFile, "-CAkey", ca.keyFile, "-CAcreateserial", "-extfile", `${name}.ext`];
  openssl(folder, "x509", "-req", "-in", `${name}.csr`, ...sign, "-out", `${name}.pem`, "-days", String(days));
  return pairIn(folder, name);
}
