// Making and finding elements. Whatever comes from the server goes into the page as text, here and
// nowhere else; this page never makes markup out of a string.

export const byId = (id) => document.getElementById(id);

// Characters that are not seen or that turn the writing direction, which would let a text look like
// another one. They are shown by their numbers.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]|[\u{e0000}-\u{e0fff}]/gu;

/** A text as it can be shown without deceiving anybody. */
export function visible(text) {
  return String(text).replace(UNSEEN, (c) => "\\u{" + c.codePointAt(0).toString(16) + "}");
}

/** One line: as visible, and line breaks are shown too. */
export function oneLine(text) {
  return visible(text).replace(/\n/g, "\\n").replace(/\t/g, "\\t");
}

/** An element: el("p", { class: "hint" }, "text", another). Strings become text. */
export function el(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A text of the server's, kept apart from the text around it whatever its writing direction. */
export const foreign = (text, attributes) => el("bdi", attributes, oneLine(text));

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Says something to whoever listens to the page instead of looking at it. Sparingly. */
export function announce(text) {
  byId("announcer").textContent = text;
}

const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
export const number = (value) => NUMBER.format(value);

/** "1 watcher", "2 watchers". */
export const plural = (count, word) => number(count) + " " + word + (count === 1 ? "" : "s");

/** The time of day of a date as the server writes it. */
export function timeOf(stamp) {
  const date = new Date(stamp);
  return isNaN(date) ? "" : date.toLocaleTimeString("en-GB");
}

/** How long something has lasted. */
export function lasting(seconds) {
  if (seconds < 60) return seconds + " s";
  if (seconds < 3600) return Math.floor(seconds / 60) + " min";
  if (seconds < 86400) return Math.floor(seconds / 3600) + " h";
  return plural(Math.floor(seconds / 86400), "day");
}

/** Calls a function once a burst of calls is over. */
export function debounced(milliseconds, call) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(call, milliseconds);
  };
}

/** At most one call in so many milliseconds, and fewer of one that takes long; the last one is never left
 *  out. `call` gives a promise. */
export function spaced(milliseconds, call) {
  let state = "idle", again = false, next = 0;
  const run = async () => {
    const begun = Date.now();
    state = "running";
    try {
      await call();
    } finally {
      next = Date.now() + Math.max(milliseconds, 30 * (Date.now() - begun));
      state = "idle";
      if (again) ask();
    }
  };
  const ask = () => {
    again = state === "running";
    if (state !== "idle") return;
    state = "waiting";
    setTimeout(run, Math.max(0, next - Date.now()));
  };
  return ask;
}

/** Makes the children of a list be those of `items`, in order, keeping the element of each key: what is
 *  open stays open, and the focus stays where it is. */
export function reconcile(parent, elements, items, keyOf, make, update) {
  const present = new Set();
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    present.add(key);
    let element = elements.get(key);
    if (!element) {
      element = make(item);
      elements.set(key, element);
    }
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
    update(element, item);
  }
  for (const [key, element] of elements) {
    if (present.has(key)) continue;
    element.remove();
    elements.delete(key);
  }
}
