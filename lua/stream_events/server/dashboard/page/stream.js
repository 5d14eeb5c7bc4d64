// The live stream: one WebSocket, opened with a ticket, opened again when it is lost; each try waits
// longer than the one before.
import { call, problemOf } from "./session.js";

const FIRST_WAIT = 500, LONGEST_WAIT = 15000; // milliseconds
const SILENCE = 7000; // the server says something every second
const TICK = 500;
const NOT_OPENED = "The live stream cannot be opened. A proxy in between has to let WebSockets through";

/** Keeps a stream open. `on.frame(frame)`, `on.state(state, seconds, why)`: "connecting", "open", or
 *  "waiting" with the seconds until the next try, and why, where more is known than that it is lost. */
export class Stream {
  constructor(on) {
    this.on = on;
    this.tries = 0;
    this.attempt = 0; // numbers the tries: what an abandoned one still says is nobody's business
    setInterval(() => this.tick(), TICK);
    addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.hurry());
  }

  start() {
    this.tries = 0;
    this.connect();
  }

  stop() {
    this.abandon();
    this.retryAt = undefined;
  }

  /** Tries again at once, when it is waiting. */
  hurry() {
    if (this.retryAt !== undefined) this.connect();
  }

  abandon() {
    this.attempt++;
    if (this.socket) this.socket.close();
    this.socket = undefined;
  }

  async connect() {
    this.abandon();
    this.retryAt = undefined;
    const attempt = this.attempt;
    this.on.state("connecting");
    let ticket;
    try {
      ticket = (await call("POST", "/tickets")).ticket;
    } catch (error) {
      const why = problemOf(error);
      if (attempt === this.attempt && error.status !== 401) this.lost(why);
      return;
    }
    if (attempt === this.attempt) this.open(ticket, attempt);
  }

  open(ticket, attempt) {
    const url = new URL("dashboard/live", document.baseURI);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.search = "ticket=" + ticket;
    const socket = new WebSocket(url);
    this.socket = socket;
    this.heard = this.said = Date.now();
    this.isOpen = false;
    socket.onmessage = (message) => attempt === this.attempt && this.take(message.data);
    socket.onclose = () => attempt === this.attempt && this.lost(this.isOpen ? "" : NOT_OPENED);
  }

  take(text) {
    const now = Date.now();
    const frame = JSON.parse(text);
    this.heard = now;
    if (!this.isOpen) {
      this.isOpen = true;
      this.tries = 0;
      this.on.state("open");
    }
    // Timers sleep in a tab that is not looked at; this is as regular and does not.
    if (frame.idle_timeout && now - this.said > frame.idle_timeout * 300) {
      this.said = now;
      this.socket.send("");
    }
    this.on.frame(frame);
  }

  lost(why) {
    this.abandon();
    this.why = why;
    const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.tries) * (0.75 + Math.random() / 2);
    this.tries = Math.min(this.tries + 1, 10);
    this.retryAt = Date.now() + wait;
    this.tick();
  }

  tick() {
    if (this.retryAt !== undefined) {
      const left = this.retryAt - Date.now();
      if (left <= 0) this.connect();
      else this.on.state("waiting", Math.ceil(left / 1000), this.why);
    } else if (this.socket && Date.now() - this.heard > SILENCE) {
      this.lost("");
    }
  }
}
