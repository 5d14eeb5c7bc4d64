// The counters, once a second, and the rates that follow from two of them.
import { byId, el, foreign, number, reconcile, setText } from "./dom.js";
import { addSample } from "./plot.js";

const SHOWN_REASONS = 6;
const FIGURES = ["connections", "watches", "channels", "accepted", "deliveries", "refused"];
const bars = new Map();
let before;

function showReasons(reasons) {
  const shown = reasons.slice(0, SHOWN_REASONS);
  byId("reasons-empty").hidden = shown.length > 0;
  reconcile(byId("reasons"), bars, shown, (item) => item.reason, (item) => {
    const count = el("span", { class: "number" });
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    bar.setAttribute("class", "bar-of");
    bar.setAttribute("aria-hidden", "true");
    rect.setAttribute("height", "100%");
    bar.append(rect);
    const row = el("li", {}, foreign(item.reason), count, bar);
    row.parts = { count, rect };
    return row;
  }, (row, item) => {
    setText(row.parts.count, number(item.count));
    row.parts.rect.setAttribute("width", (100 * item.count / shown[0].count).toFixed(1) + "%");
  });
}

// Per second. A server that was started anew counts from nothing.
function rate(now, name, seconds) {
  const grown = now[name] - before[name];
  return Math.max(0, grown >= 0 ? grown : now[name]) / seconds;
}

/** Takes a frame of counters. */
export function showCounters(frame) {
  for (const name of FIGURES) setText(byId("figure-" + name), number(frame[name]));
  showReasons(frame.reasons);
  const at = Date.parse(frame.at);
  if (before) {
    const seconds = (at - before.time) / 1000;
    if (seconds < 0.5) return;
    // What went by while nobody listened belongs to no second.
    if (seconds < 5) addSample(rate(frame, "accepted", seconds), rate(frame, "refused", seconds));
  } else {
    addSample(0, 0);
  }
  before = { time: at, accepted: frame.accepted, refused: frame.refused };
}
