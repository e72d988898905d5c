// Kinds of IP address, by the registries of IANA (RFC 6890) and the clouds' own documents. Pure.
import { BlockList, isIP, isIPv4 } from "node:net";

/** Node's names for the two families. */
type Family = "ipv4" | "ipv6";

/** Link-local addresses, and others at which a cloud tells a machine its secrets; those for several receivers. */
const NEVER = listOf([
  "169.254.0.0/16", // link-local; AWS, Azure, Google Cloud, Oracle, OpenStack and others
  "100.100.100.200/32", // Alibaba Cloud
  "168.63.129.16/32", // Azure's host
  "192.0.0.192/32", // Oracle Cloud, of old
  "224.0.0.0/4",
  "255.255.255.255/32",
  "fe80::/10", // link-local; OpenStack
  "fd00:ec2::/32", // AWS
  "fd20:ce::254/128", // Google Cloud
  "fd00:c1::a9fe:a9fe/128", // Oracle Cloud
  "fd00:42::42/128", // Scaleway
  "ff00::/8",
]);

/** Addresses of IPv4 that are not of the public Internet. */
const NOT_PUBLIC_V4 = listOf([
  ...["0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"],
  ...["192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"],
  ...["203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32"],
]);
/** Public addresses of IPv6 are in this range, but for those of the next list: tunnels and documentation. */
const GLOBAL_V6 = listOf(["2000::/3"]);
const NOT_PUBLIC_V6 = listOf(["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"]);

/** A list of addresses and of ranges in CIDR form. @throws {Error} for what is neither */
export function listOf(entries: readonly string[]): BlockList {
  const list = new BlockList();
  for (const entry of entries) {
    const [address = "", bits] = entry.split("/", 2);
    const family = familyOf(address);
    list.addSubnet(address, bits === undefined ? (family === "ipv4" ? 32 : 128) : Number(bits), family);
  }
  return list;
}

/** True for an address, or a range in CIDR form. */
export function isAddressOrRange(entry: string): boolean {
  const [, address = "", bits = "0"] = /^([0-9a-f.:]+)(?:\/(\d{1,3}))?$/i.exec(entry) ?? [];
  const family = isIP(address);
  return family !== 0 && Number(bits) <= (family === 4 ? 32 : 128);
}

/** True for an address to which no request goes, whatever the configuration says. A zone (`%eth0`) belongs to link-local addresses. */
export function isNever(address: string): boolean {
  return isIP(address) === 0 || address.includes("%") || readingsOf(address).some((reading) => isIn(NEVER, reading));
}

/** True for an address of the public Internet. */
export function isPublic(address: string): boolean {
  return !isNever(address) && readingsOf(address).every((reading) => isPublicReading(reading));
}

/** True if the list holds the address, in one of its spellings. */
export function isListed(list: BlockList, address: string): boolean {
  return isIP(address) !== 0 && !address.includes("%") && readingsOf(address).some((reading) => isIn(list, reading));
}

function isPublicReading(address: string): boolean {
  if (isIPv4(address)) return !isIn(NOT_PUBLIC_V4, address);
  return isIn(GLOBAL_V6, address) && !isIn(NOT_PUBLIC_V6, address);
}

function isIn(list: BlockList, address: string): boolean {
  return list.check(address, familyOf(address));
}

function familyOf(address: string): Family {
  return isIPv4(address) ? "ipv4" : "ipv6";
}

/** Where an address of IPv6 that begins (or whose interface begins) like this carries one of IPv4: offsets of its bytes. */
const CARRIERS: readonly (readonly [RegExp, readonly (readonly number[])[]])[] = [
  [/^0{24}/, [[12, 13, 14, 15]]], // IPv4-compatible (RFC 4291 §2.5.5.1)
  [/^0{16}ffff0000/, [[12, 13, 14, 15]]], // IPv4-translated (RFC 2765)
  [/^2002/, [[2, 3, 4, 5]]], // 6to4 (RFC 3056)
  [/^.{16}0[02]005efe/, [[12, 13, 14, 15]]], // ISATAP (RFC 5214)
  [/^20010000/, [[4, 5, 6, 7]]], // Teredo (RFC 4380): its server; the client follows
  // NAT64 with a prefix of one's own (RFC 8215), by the length of that prefix (RFC 6052 §2.2)
  [/^0064ff9b0001/, ["6,7,9,10", "7,9,10,11", "9,10,11,12", "12,13,14,15"].map((at) => at.split(",").map(Number))],
];
/** These are nothing but an address of IPv4: IPv4-mapped, and NAT64 with the well-known prefix (RFC 6052). */
const ONLY_V4 = /^(?:0{20}ffff|0064ff9b0{16})/;

/** The address, and each address of IPv4 to which it leads by translation or through a tunnel. */
function readingsOf(address: string): string[] {
  if (isIPv4(address)) return [address];
  const bytes = bytesOf(address);
  const hex = bytes.toString("hex");
  if (ONLY_V4.test(hex)) return [bytes.subarray(12).join(".")];
  const carried = CARRIERS.flatMap(([form, places]) => (form.test(hex) ? places : []));
  const inverted = hex.startsWith("20010000") ? [bytes.subarray(12).map((byte) => byte ^ 0xff)] : [];
  return [address, ...[...carried.map((at) => at.map((i) => bytes[i])), ...inverted].map((four) => four.join("."))];
}

/** The 16 bytes of an address of IPv6, in whichever spelling. */
function bytesOf(address: string): Buffer {
  const [head = "", tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split("::");
  const groups = (text: string) => (text === "" ? [] : text.split(":"));
  const [before, after] = [groups(head), groups(tail ?? "")];
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => "0");
  return Buffer.from([...before, ...zeros, ...after].map((group) => group.padStart(4, "0")).join(""), "hex");
}
