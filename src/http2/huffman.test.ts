// The Huffman code of HPACK: the examples of RFC 7541 appendix C, and what is no text of it.
import { expect, it } from "vitest";
import { huffmanText } from "./huffman.ts";

const text = (hex: string) => huffmanText(Buffer.from(hex, "hex"), 0, hex.length / 2);

it.each([
  ["f1e3c2e5f23a6ba0ab90f4ff", "www.example.com"],
  ["a8eb10649cbf", "no-cache"],
  ["25a849e95ba97d7f", "custom-key"],
  ["25a849e95bb8e8b4bf", "custom-value"],
  ["6402", "302"],
  ["aec3771a4b", "private"],
  ["d07abe941054d444a8200595040b8166e082a62d1bff", "Mon, 21 Oct 2013 20:13:21 GMT"],
  ["", ""],
])("%s is %s", (hex, plain) => {
  expect(text(hex)).toBe(plain);
});

it.each([
  ["EOS in the text", "ffffffff"],
  ["padding of eight ones", "07ff"],
  ["padding with a zero", "00"],
  ["a code that breaks off", "fffe"],
])("%s is refused", (_, hex) => {
  expect(() => text(hex)).toThrow("Huffman");
});
