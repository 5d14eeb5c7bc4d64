// The live events: kept up to a number, filtered, paused.
import { byId, el, foreign, number, oneLine, plural, debounced, timeOf, visible } from "./dom.js";

const KEPT = 2000, SHOWN = 250;

let events = []; // newest first; also notes, which every filter lets through
let waiting = []; // what came while paused, newest last
let unseen = 0; // what the server did not send, while paused
let paused = false;
let filter = { text: "", type: null, place: "", verdict: "" };
let hidden = 0; // events of the list that are not among its rows

const log = byId("log"), empty = byId("log-empty"), pause = byId("pause");

// JSON with line breaks, whatever it is: bodies may be cut off, or no JSON at all, and numbers stay
// as they were written.
function indented(text) {
  let out = "", depth = 0, inString = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (inString) {
      out += c;
      if (c === "\\") out += text[++i] ?? "";
      else if (c === "\"") inString = false;
    } else if (c === "\"") {
      inString = true;
      out += c;
    } else if ((c === "{" || c === "[") && depth < 20) {
      const close = text[i + 1];
      if (close === "}" || close === "]") {
        out += c + close;
        i++;
      } else {
        out += c + "\n" + "  ".repeat(++depth);
      }
    } else if ((c === "}" || c === "]") && depth > 0) {
      out += "\n" + "  ".repeat(--depth) + c;
    } else if (c === ",") {
      out += ",\n" + "  ".repeat(depth);
    } else if (c === ":") {
      out += ": ";
    } else if (!/\s/.test(c)) {
      out += c;
    }
  }
  return out;
}

// "trade_*" and "trade" as in rule files: a star stands for anything, the rest for itself.
function pattern(text) {
  if (text === "") return null;
  const parts = text.split("*").map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, "\\$&"));
  return new RegExp("^" + parts.join(".*") + (text.includes("*") ? "$" : ""), "is");
}

function matches(event) {
  if (event.note) return true;
  return (filter.verdict === "" || event.outcome === filter.verdict)
    && (filter.type === null || filter.type.test(event.type ?? ""))
    && (filter.place === "" || (event.cid ?? event.target ?? "").toLowerCase().includes(filter.place))
    && (filter.text === "" || textOf(event).includes(filter.text));
}

function textOf(event) {
  event.text ??= [event.type, event.cid, event.target, event.sender, event.reason, event.rule, event.message,
    event.body].filter((part) => part !== undefined).join("\n").toLowerCase();
  return event.text;
}

function verdictOf(event) {
  if (event.outcome !== "accepted") return el("span", { class: "verdict refused" }, foreign(event.reason ?? "refused"));
  const receivers = event.receivers ?? 0;
  return el("span", { class: receivers > 0 ? "verdict accepted" : "verdict accepted none" },
    el("span", { class: "long" }, "delivered "), "to " + (receivers > 0 ? number(receivers) : "nobody"));
}

const CALLERS = { server: "a backend", user: "the user", guest: "a guest", anonymous: "an anonymous user" };

function explanation(event) {
  const lines = [];
  const add = (term, text) => text !== undefined && lines.push(el("dt", {}, term), el("dd", {}, foreign(text)));
  if (event.outcome === "accepted") {
    add("Verdict", "accepted, delivered to " + plural(event.receivers ?? 0, "connection"));
  } else {
    add("Verdict", "refused: " + event.reason);
    add("Why", event.message);
  }
  add("Rule", event.rule);
  add("Sent by", (CALLERS[event.by] ?? event.by)
    + (event.sender && event.by === "server" ? ", for " + event.sender : ""));
  add("Size", plural(event.size, "byte"));
  return el("dl", {}, ...lines);
}

function fill(details, event) {
  const shown = new TextEncoder().encode(event.body).length;
  details.append(el("div", { class: "inside" }, explanation(event),
    // Long ones are scrolled, with the keyboard too.
    el("pre", { tabindex: "0", role: "group", "aria-label": "Data" }, visible(indented(event.body))),
    shown < event.size ? el("p", { class: "hint" }, "The rest of it is not shown here.") : null));
}

function rowOf(event) {
  if (event.note) return el("li", { class: "note" }, event.note);
  const place = event.cid ?? (event.target ? "@" + event.target : "–");
  const summary = el("summary", { tabindex: "-1" },
    el("time", {}, timeOf(event.at)), verdictOf(event),
    foreign(event.type ?? "no type", { class: event.type === undefined ? "type missing" : "type" }),
    foreign(place, { class: "place" }),
    foreign(event.sender ?? (event.by === "server" ? "server" : event.by), { class: "sender" }));
  const details = el("details", {}, summary);
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) fill(details, event);
  });
  return el("li", { class: event.outcome === "accepted" ? "event" : "event refused" }, details);
}

// One row is in the order of the Tab key, the arrows go to the others.
function keepReachable() {
  if (log.querySelector('summary[tabindex="0"]')) return;
  const first = log.querySelector("summary");
  if (first) first.tabIndex = 0;
}

function moveTo(summary) {
  const current = log.querySelector('summary[tabindex="0"]');
  if (current) current.tabIndex = -1;
  summary.tabIndex = 0;
  summary.focus();
}

function onKey(press) {
  const rows = [...log.querySelectorAll("summary")];
  const at = rows.indexOf(document.activeElement);
  if (at < 0) return;
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[press.key];
  if (to === undefined || !rows[to]) return;
  press.preventDefault();
  moveTo(rows[to]);
}

const EMPTY = {
  waiting: ["No events yet.", "They appear here as they are sent, with what became of each. Send one with the "
    + "form, or in a terminal:"],
  filtered: ["No event matches the filter.", "Change it, or clear it to see all of them."],
};

const countOf = (list) => list.filter((event) => !event.note).length;

function showState() {
  const rows = log.querySelectorAll(".event").length;
  const what = log.children.length > 0 ? null : events.some((event) => !event.note) ? "filtered" : "waiting";
  empty.hidden = what === null;
  if (what !== empty.dataset.what) {
    empty.dataset.what = what ?? "";
    empty.replaceChildren(...(what ? [el("p", {}, el("b", {}, EMPTY[what][0]), " ", EMPTY[what][1])] : []));
    if (what === "waiting") {
      empty.append(el("code", {}, "stream-events send messaging:general hello text=Hi --as tommaso"));
    }
  }
  const count = paused && waiting.length + unseen > 0 ? number(waiting.length + unseen) + " new while paused"
    : events.length === 0 ? ""
    : hidden > 0 ? number(rows) + " of " + number(rows + hidden)
    : plural(rows, "event");
  if (byId("shown").textContent !== count) byId("shown").textContent = count;
  keepReachable();
}

function trim() {
  if (events.length > KEPT) events.length = KEPT;
  // A row that has the focus is left where it is, so that nobody is thrown out of the list.
  while (log.children.length > SHOWN && !log.lastElementChild.contains(document.activeElement)) {
    if (log.lastElementChild.classList.contains("event")) hidden++;
    log.lastElementChild.remove();
  }
}

function rebuild() {
  const found = events.filter(matches);
  log.replaceChildren(...found.slice(0, SHOWN).map(rowOf));
  hidden = countOf(found.slice(SHOWN));
  showState();
}

// `fresh`: oldest first, as they come.
function add(fresh) {
  if (fresh.length === 0) return;
  const newest = fresh.slice(-KEPT).reverse();
  events.unshift(...newest);
  const rows = newest.filter(matches);
  hidden += countOf(rows.slice(SHOWN));
  const before = log.scrollHeight;
  log.prepend(...rows.slice(0, SHOWN).map(rowOf));
  // Whoever reads further down goes on reading there.
  if (log.scrollTop > 0) log.scrollTop += log.scrollHeight - before;
  trim();
  showState();
}

const missed = (count) => ({ note: plural(count, "more event") + " not shown: too many at once" });

/** Takes a frame of events. */
export function showEvents(frame) {
  if (paused) {
    waiting.push(...frame.events);
    if (waiting.length > KEPT) unseen += waiting.splice(0, waiting.length - KEPT).length;
    unseen += frame.more;
    return showState();
  }
  add(frame.more > 0 ? [...frame.events, missed(frame.more)] : frame.events);
}

/** Says among the events that some may be missing there. */
export function noteGap() {
  if (events.length > 0 && !events[0].note) add([{ note: "The connection was lost here: what came meanwhile is not shown" }]);
}

function setPaused(value) {
  paused = value;
  pause.setAttribute("aria-pressed", String(paused));
  if (!paused) {
    const fresh = unseen > 0 ? [missed(unseen), ...waiting] : waiting;
    waiting = [];
    unseen = 0;
    add(fresh);
  }
  showState();
}

function readFilter() {
  filter = {
    text: byId("filter-text").value.trim().toLowerCase(), type: pattern(byId("filter-type").value.trim()),
    place: byId("filter-cid").value.trim().toLowerCase(), verdict: byId("filter-verdict").value,
  };
  rebuild();
}

export function startEvents() {
  pause.addEventListener("click", () => setPaused(!paused));
  byId("clear").addEventListener("click", () => {
    events = [];
    waiting = [];
    unseen = 0;
    rebuild();
  });
  const soon = debounced(120, readFilter);
  byId("filters").addEventListener("input", soon);
  byId("filters").addEventListener("change", soon);
  byId("filters").addEventListener("submit", (submit) => submit.preventDefault());
  log.addEventListener("keydown", onKey);
  log.addEventListener("focusin", (focus) => {
    if (focus.target.matches("summary") && focus.target.tabIndex !== 0) moveTo(focus.target);
  });
  showState();
}
