// Groups of bodies for one long-lived reader, which may keep of one text what it then sees in the next: V8 13.6 remembers
// which name followed in objects of a shape, and compares it with the next text's raw bytes. Pure.
import { bodyText, nameText, randomName, stringText } from "./generate-json.ts";
import type { Random } from "./random.ts";

const NAMES = ["duration", "force", "limit", "dry_run", "path", "a", "ab", "é", "名", "name", "arguments", "A", "x y"];

/** Two or three bodies. */
export function sequenceTexts(random: Random, serial: number): string[] {
  const kind = random.below(8);
  if (kind < 5) return repeatedShapes(random, serial);
  const fresh = `"q${serial.toString(36)}":${random.pick(["0", "true", '""'])}`;
  const name = random.oneIn(3) ? randomName(random) : random.pick(NAMES);
  const spelled = escapedSomewhere(name, random);
  const planted = planting(spelled, name, random);
  const object = (member: string, value: string) => `{${fresh},${member}:${value}}`;
  const plant = place(object(planted, "1"), random);
  const victim = place(object(`"${spelled}"`, "1"), random);
  if (kind === 5)
    return [`[${object(planted, "1")},${object(`"${spelled}"`, "2")}]`].map((list) => place(`{"l":${list}}`, random));
  return kind === 6 ? [plant, victim] : [plant, place(object(stringText(name, random), "2"), random), victim];
}

function place(args: string, random: Random): string {
  return bodyText(random, { method: "tools/call", name: '"t"', arguments: args });
}

/** The name with at least one letter escaped, without its quotes. */
function escapedSomewhere(name: string, random: Random): string {
  const at = random.below(Math.max(1, name.length));
  let text = "";
  for (let i = 0; i < name.length; i += 1) {
    const hex = name.charCodeAt(i).toString(16).padStart(4, "0");
    text += i === at || random.oneIn(5) ? `\\u${random.oneIn(2) ? hex : hex.toUpperCase()}` : rawLetter(name, i);
  }
  return text;
}

function rawLetter(name: string, at: number): string {
  return JSON.stringify(name.charAt(at)).slice(1, -1);
}

/** A name whose characters are the raw beginning of another one's spelling, or another spelling of the name itself. */
function planting(spelled: string, name: string, random: Random): string {
  const kind = random.below(5);
  if (kind < 3)
    return JSON.stringify(spelled.slice(0, kind === 0 ? name.length : 1 + random.below(spelled.length || 1)));
  return kind === 3 ? stringText(name, random) : stringText(spelled, random);
}

/** The same objects in other spellings, text after text. */
function repeatedShapes(random: Random, serial: number): string[] {
  const names = [...new Set(Array.from({ length: 2 + random.below(3) }, () => randomName(random)))];
  const first = `"s${serial.toString(36)}"`;
  const text = () => {
    const members = names.map((name) => `${nameText(name, random)}:${random.below(9)}`);
    return place(`{${first}:0,${members.join(",")}}`, random);
  };
  return [text(), text(), text()];
}
