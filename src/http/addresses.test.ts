import { describe, expect, it } from "vitest";
import { isAddressOrRange, isListed, isNever, isPublic, listOf } from "./addresses.ts";

/** never: no request; inside: only where the configuration says so; public. */
const kindOf = (address: string) => (isNever(address) ? "never" : isPublic(address) ? "public" : "inside");

describe("CF-36, H07: kinds of address", () => {
  it.each([
    ["never", "169.254.169.254 169.254.0.1 169.254.170.2 169.254.255.255 100.100.100.200 168.63.129.16 192.0.0.192"],
    ["never", "224.0.0.1 239.255.255.255 255.255.255.255 ff02::1 ff0e::1"],
    ["never", "fe80::1 FE80::1 febf:ffff::1 fe80::1%eth0 fe80::a9fe:a9fe ::1%lo 2606:4700::1%1"],
    ["never", "fd00:ec2::254 fd00:ec2::23 FD00:0EC2:0:0:0:0:0:254 fd20:ce::254 fd00:c1::a9fe:a9fe fd00:42::42"],
    // the same addresses of IPv4 in IPv6: mapped, compatible, translated
    ["never", "::ffff:169.254.169.254 ::ffff:a9fe:a9fe 0:0:0:0:0:ffff:a9fe:a9fe ::ffff:100.100.100.200"],
    ["never", "::169.254.169.254 ::ffff:0:169.254.169.254 ::ffff:0:a9fe:a9fe"],
    // NAT64: the well-known prefix, and one's own of 48, 56, 64 and 96 bits
    ["never", "64:ff9b::a9fe:a9fe 64:ff9b::169.254.169.254 64:ff9b:1::169.254.169.254 64:ff9b:1:1:2:3:a9fe:a9fe"],
    ["never", "64:ff9b:1:a9fe:a9:fe00:: 64:ff9b:1:a9:fe:a9fe:: 64:ff9b:1:0:a9:fea9:fe00:0"],
    // tunnels: 6to4, ISATAP, Teredo (server, client)
    ["never", "2002:a9fe:a9fe::1 2002:6464:64c8:: 2001:470::5efe:169.254.169.254 fd00::200:5efe:a9fe:a9fe"],
    ["never", "2001:0:a9fe:a9fe:0:0:f5ff:fffe 2001:0:808:808:0:0:5601:5601"],
    ["never", "localhost 0x7f.1 2130706433 127.1 metadata.google.internal"], // no addresses
    ["inside", "127.0.0.1 127.255.255.254 10.0.0.1 172.16.0.1 172.31.255.255 192.168.0.1 100.64.0.1 100.127.255.255"],
    ["inside", "0.0.0.0 0.1.2.3 192.0.0.1 192.0.2.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 240.0.0.1"],
    ["inside", ":: ::1 0:0:0:0:0:0:0:1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:7f00:1 ::127.0.0.1 64:ff9b::10.0.0.1"],
    [
      "inside",
      "fc00::1 fd12:3456::1 fec0::1 2001:db8::1 3fff::1 5f00::1 100::1 2002:808:808::1 2001:0:808:808::f7f7:f7f7",
    ],
    ["inside", "64:ff9b:1::8.8.8.8 2001:470::5efe:10.0.0.1 2001:10::1 4000::1"],
    [
      "public",
      "8.8.8.8 1.1.1.1 100.63.255.255 100.128.0.1 172.15.255.255 172.32.0.1 192.167.1.1 11.0.0.1 223.255.255.1",
    ],
    ["public", "2606:4700::1 2a00:1450::1 2001:4860:4860::8888 2001:200::1 ::ffff:8.8.8.8 64:ff9b::808:808"],
  ])("%s: %s", (kind, addresses) => {
    for (const address of addresses.split(" ")) expect([address, kindOf(address)]).toEqual([address, kind]);
  });

  it("a list of the configuration holds each spelling of its addresses, and no name", () => {
    const list = listOf(["10.20.0.0/16", "192.168.7.7", "fd12::/32"]);
    const held = ["10.20.1.2", "::ffff:10.20.1.2", "64:ff9b::10.20.1.2", "192.168.7.7", "fd12:0:1::1"];
    const others = ["10.21.0.1", "192.168.7.8", "fd13::1", "a.example", "10.20.1.2%1"];
    expect([...held, ...others].filter((address) => isListed(list, address))).toEqual(held);
  });

  it("an entry is an address, a range, or a name", () => {
    const ranges = ["10.0.0.0/8", "10.1.2.3", "fd00::/8", "::1", "0.0.0.0/0"];
    const others = ["10.0.0.0/33", "fd00::/129", "10.0.0/8", "a.example", "10.0.0.1/", "/8", "fd00::1%1", "[::1]"];
    expect([...ranges, ...others].filter(isAddressOrRange)).toEqual(ranges);
  });
});
