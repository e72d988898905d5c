// The messages of an event stream as they come to a client.
import type { IncomingMessage } from "node:http";
import { expect, vi } from "vitest";

export type Reading = ReturnType<typeof reading>;

/** The messages of a stream as they come. */
export function reading(response: IncomingMessage) {
  const messages: Record<string, unknown>[] = [];
  const ids: string[] = [];
  let text = "";
  response.setEncoding("utf8").on("error", () => {});
  response.on("data", (chunk: string) => {
    text += chunk;
    for (let end = text.indexOf("\n\n"); end !== -1; end = text.indexOf("\n\n")) {
      const lines = text.slice(0, end).split("\n");
      text = text.slice(end + 2);
      for (const line of lines) {
        if (line.startsWith("id: ")) ids.push(line.slice(4));
        if (line.startsWith("data: {")) messages.push(JSON.parse(line.slice(6)) as Record<string, unknown>);
      }
    }
  });
  const next = (count: number) => vi.waitFor(() => expect(messages).toHaveLength(count), 5000).then(() => messages);
  return { messages, ids, next };
}
