// One caller with 12,000 valid tokens of 13 KB: serve keeps what fits in bytes, not in tokens.
import { createServer, type Server } from "node:http";
import { exportJWK, generateKeyPair } from "jose";
import { openAttackLab } from "./lab.ts";
import { testLoad } from "./measure.ts";

let issuer: Server | undefined;
let address = "";
let key: object = {};

/** An issuer of its own: the attacker signs for itself. */
async function startIssuer(): Promise<void> {
  const { privateKey, publicKey } = await generateKeyPair("ES256", { extractable: true });
  const named = { kid: "many", alg: "ES256", use: "sig" };
  key = { ...(await exportJWK(privateKey)), ...named };
  const keySet = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), ...named }] });
  const server = createServer((request, response) => {
    response.setHeader("content-type", "application/json");
    const document = { issuer: address, jwks_uri: `${address}/jwks` };
    response.end(request.url === "/jwks" ? keySet : JSON.stringify(document));
  });
  await new Promise<void>((done) => {
    server.listen(0, "127.0.0.1", done);
  });
  address = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  issuer = server;
}

testLoad({
  name: "large tokens",
  finding: "F13",
  open: async () => {
    await startIssuer();
    return openAttackLab({
      config: (config) => {
        const { issuers } = config["identity"] as { issuers: object[] };
        issuers.push({ issuer: address, audiences: [config["publicOrigin"]], algorithms: ["ES256"] });
      },
    });
  },
  attacker: async (lab) => ({
    file: "attackers/large-tokens.ts",
    task: { issuer: address, audience: lab.gateway, key, perSecond: 200 },
  }),
  effort: { sent: 4000, "200": 100 },
  close: async () => void issuer?.close(),
});
