import { expect, it } from "vitest";
import { acceptsOf } from "./accept-header.ts";

it.each([
  [undefined, true, true],
  ["", true, true],
  ["application/json, text/event-stream", true, true],
  ["Application/JSON;charset=utf-8 , TEXT/event-stream;q=0.5", true, true],
  ["application/json", true, false],
  ["text/event-stream", false, true],
  ["text/*", false, true],
  ["*/*", true, true],
  ["application/*", true, false],
  ["application/json, text/event-stream;q=0", true, false],
  ["application/json;q=0.0, text/event-stream", false, true],
  ["text/html", true, false],
  ["text/event-streams", true, false],
])("SP-07: %j takes json %s, a stream %s", (header, json, stream) =>
  expect(acceptsOf(header)).toEqual({ json, stream }),
);
