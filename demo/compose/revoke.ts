// `docker compose exec -T idp revoke alice`: ends all tokens that this person has by now. I/O: appends a line to the file of revocations
// that `serve` reads.
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { issuerOrigin, PEOPLE, setting } from "./settings.ts";

const [person = ""] = process.argv.slice(2);
if (PEOPLE.includes(person)) {
  // Whole seconds: a token of this very second counts as one from before.
  const line = { iss: issuerOrigin(), sub: person, before: Math.floor(Date.now() / 1000) + 1 };
  appendFileSync(join(setting("STATE_FOLDER"), "revocations/revoked.jsonl"), `${JSON.stringify(line)}\n`);
} else {
  console.error(`revoke: nobody is called that; there are ${PEOPLE.join(", ")}`);
  process.exitCode = 1;
}
