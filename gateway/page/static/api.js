// The gateway's HTTP interface, with the key where it wants one, and streams that survive a dropped connection.

import { readEvents } from "./sse.js";

const KEY = "conveyor-key";
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
const LAST = new Set(["finished", "failed"]);

/** What the gateway refused, in its words. `status` 0: it could not be reached. */
export class ApiError extends Error {
  constructor(status, message, code = "", param = "") {
    super(message);
    Object.assign(this, { status, code, param });
  }

  get passes() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

export class Api {
  #askKey;
  #asking = null;

  /** `askKey(refused)` resolves to a key that a person typed, or to null. */
  constructor(askKey) {
    this.#askKey = askKey;
  }

  /** The answer's JSON. Throws ApiError. */
  async json(path, method = "GET", content = undefined) {
    const response = await this.send(path, { method, content });
    return response.status === 204 ? null : response.json();
  }

  async send(path, { method = "GET", content, signal } = {}) {
    for (;;) {
      const key = sessionStorage.getItem(KEY);
      const headers = key ? { Authorization: `Bearer ${key}` } : {};
      if (content !== undefined) headers["Content-Type"] = "application/json";
      const body = content === undefined ? undefined : JSON.stringify(content);
      let response;
      try {
        response = await fetch(path, { method, headers, body, signal, cache: "no-store" });
      } catch (error) {
        if (signal?.aborted) throw error;
        throw new ApiError(0, "The gateway cannot be reached. Is it running?", "unreachable");
      }
      if (response.ok) return response;
      const refusal = await refusalOf(response);
      if (response.status !== 401) throw refusal;
      if (sessionStorage.getItem(KEY) === key && !(await this.#newKey(key !== null))) throw refusal;
    }
  }

  /** Events of a completion after number `after`, to the last. `tell` hears for how many milliseconds it waits
   * when the connection is lost, and null when it is there again. Ends where `signal` says so. Throws ApiError where
   * there is no use in going on. */
  async *events(id, after, signal, tell) {
    for (let failures = 0; !signal.aborted; ) {
      try {
        const response = await this.send(`${pathOf(id)}/events?after=${after}`, { signal });
        tell(null);
        if (response.status === 204) return; // it has ended, and all of it was heard
        for await (const event of readEvents(response.body)) {
          failures = 0;
          const number = Number(event.id);
          if (number && number <= after) continue;
          after = number || after;
          yield event;
          if (LAST.has(event.event)) return;
        }
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ApiError && !error.passes) throw error;
      }
      const waitMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** failures++);
      tell(waitMs);
      await pause(waitMs, signal);
    }
  }

  /** One question at a time, however many requests wait for its answer. */
  #newKey(refused) {
    this.#asking ??= this.#askKey(refused).then((key) => {
      this.#asking = null;
      if (key) sessionStorage.setItem(KEY, key);
      return Boolean(key);
    });
    return this.#asking;
  }
}

export const pathOf = (id) => `/v1/completions/${encodeURIComponent(id)}`;

async function refusalOf(response) {
  let error = {};
  try {
    error = (await response.json()).error ?? {};
  } catch {
    // whatever stands between the gateway and us answered
  }
  const after = response.headers.get("Retry-After");
  const message = error.message || `The answer was ${response.status} ${response.statusText}`.trim();
  const again = after ? ` Try again in ${after} s.` : "";
  return new ApiError(response.status, message + again, error.code ?? "", error.param ?? "");
}

/** Waits, at most until the network is said to be back. */
function pause(ms, signal) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      removeEventListener("online", end);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    addEventListener("online", end);
    signal.addEventListener("abort", end);
  });
}
