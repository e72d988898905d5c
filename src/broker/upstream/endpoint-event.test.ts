import { expect, it } from "vitest";
import { endpointPath } from "./endpoint-event.ts";

const at = (text: string, url = "https://mcp.example.com:8443/a/sse?x=1") => endpointPath(Buffer.from(text), url);

it.each([
  ["/messages?sessionId=1", "/messages?sessionId=1"],
  ["messages", "/a/messages"],
  ["?session=2", "/a/sse?session=2"],
  ["https://mcp.example.com:8443/m?s=1#f", "/m?s=1"],
  ["//mcp.example.com:8443/m", "/m"],
  ["HTTPS://MCP.example.com:8443/m", "/m"],
])("AP-03: %s is posted to %s", (text, path) => expect(at(text)).toBe(path));

it.each([
  "https://evil.example.com/m",
  "//evil.example.com/m",
  "\\\\evil.example.com\\m",
  "http://mcp.example.com:8443/m",
  "https://mcp.example.com/m",
  "https://mcp.example.com:8444/m",
  "https://mcp.example.com.:8443/m",
  "https://u@mcp.example.com:8443/m",
  "https://u:p@mcp.example.com:8443/m",
  "https://mcp.example.com:8443@evil.example.com/m",
  "file:///etc/passwd",
  "data:text/plain,x",
  "javascript:1",
  "",
  " ",
  "/m\tx",
  "/mé",
  `/${"a".repeat(2048)}`,
])("AP-03: %s is refused", (text) => expect(at(text)).toBeNull());
