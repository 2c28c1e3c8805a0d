// Server-sent events, read from a fetched body: EventSource could not send a key. After the HTML standard, 9.2.6.

const MOST_CHARS = 16 * 2 ** 20; // of one event; an artifact has at most 2.8 million
const SILENT_MS = 45_000; // the gateway says something every 15 s

/** Parses the stream, however it is cut. `feed` gives the events that `text` completes: `{id, event, data}`. */
export class SseParser {
  #line = "";
  #afterReturn = false; // the last piece ended in a carriage return; a newline that follows belongs to it
  #data = [];
  #chars = 0;
  #event = "";
  #id = "";

  feed(text) {
    const events = [];
    if (!text) return events;
    let from = this.#afterReturn && text[0] === "\n" ? 1 : 0;
    const ends = /\r\n|\n|\r/g;
    ends.lastIndex = from;
    for (let end = ends.exec(text); end; end = ends.exec(text)) {
      this.#take(this.#line + text.slice(from, end.index), events);
      this.#line = "";
      from = ends.lastIndex;
    }
    this.#line += text.slice(from);
    this.#afterReturn = text.endsWith("\r");
    if (this.#line.length + this.#chars > MOST_CHARS) throw new Error("an event of the stream is too long");
    return events;
  }

  #take(line, events) {
    if (line === "") {
      const event = { id: this.#id, event: this.#event || "message", data: this.#data.join("\n") };
      if (this.#data.length) events.push(event);
      this.#data = [];
      this.#chars = 0;
      this.#event = "";
      return;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (field === "data") {
      this.#data.push(value);
      this.#chars += value.length;
    } else if (field === "event") this.#event = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
  }
}

/** The events of a response's body. Throws where nothing comes for so long that the connection must be dead. */
export async function* readEvents(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new SseParser();
  try {
    for (;;) {
      const { done, value } = await within(SILENT_MS, reader.read());
      if (done) return;
      yield* parser.feed(decoder.decode(value, { stream: true }));
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function within(ms, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("the stream has fallen silent")), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
