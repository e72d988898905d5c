import { ServerCredentials } from "@grpc/grpc-js";
import type { SecureContextOptions } from "node:tls";

export interface TlsMaterial {
  readonly key: Buffer;
  readonly cert: Buffer;
  /** Present: clients must show a certificate of this CA. */
  readonly clientCa: Buffer | null;
  /** One of these must be in the client's certificate (DNS or URI SAN, exact); empty: any certificate of the CA. */
  readonly clientSans: readonly string[];
}

/**
 * grpc-js's TLS credentials, whose material can be replaced while they serve. Its own createSsl cannot, and its
 * certificate providers have nothing to serve with until a later turn of the event loop. Whether clients must show a
 * certificate is settled at the start.
 */
export class ReplaceableCredentials extends ServerCredentials {
  constructor(material: TlsMaterial) {
    super({ requestCert: material.clientCa !== null }, contextOf(material));
  }

  /** For connections from now on; those that are open go on. @param material that OpenSSL accepts: grpc-js drops every connection otherwise */
  replace(material: TlsMaterial): void {
    this.updateSecureContextOptions(contextOf(material));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

function contextOf({ key, cert, clientCa }: TlsMaterial): SecureContextOptions {
  return { key, cert, ...(clientCa !== null && { ca: clientCa }) };
}
