// One completion that is shown: its events from the gateway into what is known of it, and into what is shown of it.

import { pathOf } from "./api.js";
import { Record } from "./record.js";
import { Transcript } from "./transcript.js";

export class Run {
  #queue = [];
  #heard = 0; // events
  #leaving = new AbortController();
  hasNext = false; // another one is to come, to be compared with it

  /** `hear` has `changed()`, and `lost(waitMs)`: null where the connection is there again. */
  constructor(api, id, request, hear) {
    Object.assign(this, { api, id, hear });
    this.record = new Record(id, request);
    this.transcript = new Transcript(this.record, (callId, approved, reason) =>
      api.json(`${pathOf(id)}/approve`, "POST", { call_id: callId, approved, reason }),
    );
  }

  /** Takes what happened before; `error` where it ended so. */
  replay(events, error) {
    for (const event of events) this.#take(event);
    this.#heard = events.length;
    if (error) this.#fail(error);
  }

  /** Follows it to its end; resolves then, or when it is closed. */
  async follow() {
    try {
      for await (const { data } of this.api.events(this.id, this.#heard, this.#leaving.signal, this.hear.lost)) {
        this.#queue.push(JSON.parse(data));
        this.hear.changed();
      }
      this.drain();
    } catch (error) {
      this.drain();
      this.#fail(error);
    }
    this.hear.changed();
  }

  /** Takes what has come since the last frame. */
  drain() {
    const queue = this.#queue;
    this.#queue = [];
    for (const event of queue) this.#take(event);
  }

  close() {
    this.#leaving.abort();
    this.transcript.close();
  }

  #fail({ code = "", message, param = "" }) {
    this.#take({ at_seconds: this.record.at, failed: { code, message, param } });
  }

  #take(event) {
    const kind = Object.keys(event).find((name) => name !== "at_seconds");
    this.record.apply(kind, event[kind], event.at_seconds ?? 0);
    this.transcript.apply(kind, event[kind]);
  }
}
