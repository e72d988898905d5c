/** Takes a stream of events (HTML Living Standard, Server-sent events) piece by piece; gives the data of each whole event. */
export interface EventReader {
  /** @throws {TypeError} for bytes that are not UTF-8 */
  push(bytes: Uint8Array): string[];
}

/** Each piece is looked at once, however long a line grows. */
export function createEventReader(): EventReader {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let line: string[] = [];
  let data: string[] = [];
  let afterReturn = false;

  function endLine(events: string[]): void {
    const text = line.join("");
    line = [];
    if (text.startsWith("data:")) data.push(text.slice(text[5] === " " ? 6 : 5));
    else if (text === "data") data.push("");
    else if (text === "") {
      if (data.length > 0) events.push(data.join("\n"));
      data = [];
    }
  }

  return {
    push(bytes) {
      const events: string[] = [];
      const piece = decoder.decode(bytes, { stream: true });
      if (piece === "") return events;
      // A line may end with CR LF, and a piece between the two.
      const text = afterReturn && piece.startsWith("\n") ? piece.slice(1) : piece;
      afterReturn = piece.endsWith("\r");
      const lines = text.split(/\r\n|\r|\n/);
      lines.forEach((part, i) => {
        line.push(part);
        if (i < lines.length - 1) endLine(events);
      });
      return events;
    },
  };
}
