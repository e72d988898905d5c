// `docker compose exec -T idp token alice [SCOPE]`: prints an access token of the demo's provider, and nothing else.
import { PORTS } from "./settings.ts";

const [person = "", scope] = process.argv.slice(2);
const url = new URL(`http://127.0.0.1:${PORTS.mint}/${encodeURIComponent(person)}`);
if (scope !== undefined) url.searchParams.set("scope", scope);
const response = await fetch(url);
const text = await response.text();
if (response.ok) console.log(text);
else {
  console.error(`token: ${text}`);
  process.exitCode = 1;
}
