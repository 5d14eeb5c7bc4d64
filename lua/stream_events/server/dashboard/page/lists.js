// The lists of channels and of connections: a page at a time, with a filter.
import { byId, debounced, el, foreign, lasting, number, oneLine, plural, reconcile, setText, spaced } from "./dom.js";
import { call, problemOf, segment } from "./session.js";

const PAGE = 25;

/** A table of which the server sends one page. `is` says what it holds:
 *  place, title, hint, path, key, columns, empty, nothing, make(item), update(row, item). */
class Table {
  constructor(is) {
    this.is = is;
    this.rows = new Map();
    this.offset = 0;
    this.filter = el("input", { type: "search", spellcheck: "false", placeholder: is.hint, "aria-label": is.hint });
    const soon = debounced(200, () => {
      this.offset = 0;
      this.load();
    });
    this.filter.addEventListener("input", soon);
    this.filter.addEventListener("change", soon);
    this.count = el("span", { class: "count" });
    this.body = el("tbody");
    this.table = el("table", { "aria-labelledby": is.place + "-title" },
      el("thead", {}, el("tr", {}, ...is.columns.map(([name, kind]) => el("th", { scope: "col", class: kind }, name)))),
      this.body);
    this.empty = el("div", { class: "empty" });
    this.problem = el("p", { class: "error", role: "alert" });
    this.back = el("button", { type: "button", class: "small", onclick: () => this.turn(-1) }, "Previous");
    this.on = el("button", { type: "button", class: "small", onclick: () => this.turn(1) }, "Next");
    this.pages = el("span", { class: "hint", role: "status" });
    this.pager = el("div", { class: "row pager" }, this.back, this.on, this.pages);
    byId(is.place).append(
      el("div", { class: "head" }, el("h2", { id: is.place + "-title" }, is.title), this.count,
        el("span", { class: "spacer" }), this.filter),
      this.table, this.empty, this.problem, this.pager);
    this.refresh = spaced(2000, () => this.load());
  }

  turn(pages) {
    this.offset = Math.max(0, this.offset + pages * PAGE);
    this.load();
  }

  async load() {
    const text = this.filter.value.trim();
    const asked = this.asked = (this.asked || 0) + 1;
    try {
      const answer = await call("GET", `/${this.is.path}?limit=${PAGE}&offset=${this.offset}&q=${segment(text)}`);
      if (asked === this.asked) this.show(answer, text);
    } catch (error) {
      setText(this.problem, problemOf(error));
    }
  }

  show(answer, text) {
    const items = answer[this.is.path];
    if (items.length === 0 && this.offset > 0) {
      this.offset = Math.max(0, Math.floor((answer.total - 1) / PAGE) * PAGE);
      return this.load();
    }
    setText(this.problem, "");
    setText(this.count, number(answer.total));
    reconcile(this.body, this.rows, items, this.is.key, this.is.make, this.is.update);
    this.table.hidden = items.length === 0;
    this.empty.hidden = items.length > 0;
    if (items.length === 0) {
      this.empty.replaceChildren(text === "" ? this.is.empty() : el("p", {}, this.is.nothing));
    }
    this.showPages(answer, items.length);
    this.is.shown(items);
  }

  showPages(answer, shown) {
    const last = this.offset + shown;
    this.pager.hidden = this.offset === 0 && last >= answer.total;
    this.back.disabled = this.offset === 0;
    this.on.disabled = last >= answer.total || last > answer.furthest;
    setText(this.pages, `${number(this.offset + 1)} to ${number(last)} of ${number(answer.total)}`
      + (last > answer.furthest ? "; filter to find others" : ""));
  }
}

function options(place, values) {
  byId(place).replaceChildren(...values.map((value) => el("option", { value })));
}

const hint = (text, command) => el("p", {}, text, el("code", {}, command));

// Who watches a channel, in a row below it.
async function showWatchers(row) {
  const cell = row.watchers.firstElementChild;
  try {
    const answer = await call("GET", `/channels/${segment(row.item.type)}/${segment(row.item.id)}?limit=50`);
    const people = answer.watchers.map((who) => el("li", {}, foreign(who.id, { class: "chip" }),
      who.connections > 1 ? ` × ${who.connections}` : null, who.is_member ? null : " (no member)"));
    cell.replaceChildren(answer.total === 0 ? el("p", { class: "hint" }, "Nobody is watching.")
      : el("ul", { class: "chips" }, ...people,
        answer.total > people.length ? el("li", { class: "none" }, "and " + number(answer.total - people.length) + " more") : null));
  } catch (error) {
    cell.replaceChildren(el("p", { class: "error", role: "alert" }, problemOf(error)));
  }
}

function channelRows(send) {
  const marks = { frozen: "frozen", disabled: "disabled", has_own_grants: "own grants" };
  return {
    place: "channels", title: "Channels", hint: "Find a channel", path: "channels", key: (item) => item.cid,
    columns: [["Channel", "wide"], ["Watching", "number"], ["Members", "number"], ["", "action"]],
    nothing: "No channel has that in its name.",
    empty: () => hint("There are no channels yet. The first client that watches one makes it: ",
      "stream-events listen messaging:general --as thierry"),
    make(item) {
      const who = el("button", { type: "button", class: "plain", "aria-expanded": "false" }, foreign(item.cid));
      const tags = el("span", { class: "tags" });
      const watching = el("td", { class: "number" }), members = el("td", { class: "number" });
      const details = el("div", { class: "watchers", hidden: true }, el("div"));
      const row = el("tr", {}, el("td", { class: "wide" }, who, tags, details), watching, members,
        el("td", { class: "action" }, el("button", { type: "button", class: "small",
          "aria-label": "Send an event to " + oneLine(item.cid), onclick: () => send(item.cid) }, "Send")));
      Object.assign(row, { parts: { watching, members, tags }, watchers: details });
      who.setAttribute("aria-label", `Who watches ${oneLine(item.cid)}`);
      who.addEventListener("click", () => {
        details.hidden = !details.hidden;
        who.setAttribute("aria-expanded", String(!details.hidden));
        if (!details.hidden) showWatchers(row);
      });
      return row;
    },
    update(row, item) {
      const changed = row.item && row.item.watcher_count !== item.watcher_count;
      row.item = item;
      setText(row.parts.watching, number(item.watcher_count));
      setText(row.parts.members, number(item.member_count));
      setText(row.parts.tags, Object.keys(marks).filter((name) => item[name]).map((name) => marks[name]).join(", "));
      if (changed && !row.watchers.hidden) showWatchers(row);
    },
    shown: (items) => options("known-channels", items.map((item) => item.cid)),
  };
}

// One channel by its name, several behind their number.
function showWatches(row, item) {
  const text = item.watch_count + " " + item.channels.join(" ");
  if (row.watched === text) return;
  row.watched = text;
  const names = item.channels.map((cid) => el("li", {}, foreign(cid, { class: "name" })));
  const others = item.watch_count - names.length;
  if (others > 0) names.push(el("li", { class: "hint" }, `and ${plural(others, "other")}`));
  row.parts.watches.replaceChildren(item.watch_count === 0 ? "–"
    : item.watch_count === 1 ? foreign(item.channels[0], { class: "name" })
    : el("details", {}, el("summary", {}, plural(item.watch_count, "channel")), el("ul", {}, ...names)));
}

function connectionRows() {
  return {
    place: "connections", title: "Connections", hint: "Find a user", path: "connections",
    key: (item) => item.user + "/" + item.id,
    columns: [["User", "wide"], ["Watches", ""], ["Connected", "number"]],
    nothing: "Nobody with that in the id is connected.",
    empty: () => hint("Nobody is connected. To connect as a user and listen: ",
      "stream-events listen messaging:general --as thierry"),
    make(item) {
      const role = el("span", { class: "tags" }), watches = el("td");
      const since = el("td", { class: "number" });
      const row = el("tr", { title: "connection " + item.id + "…" },
        el("td", { class: "wide" }, foreign(item.user, { class: "name" }), role), watches, since);
      row.parts = { role, watches, since };
      return row;
    },
    update(row, item) {
      setText(row.parts.role, item.role);
      showWatches(row, item);
      setText(row.parts.since, lasting(item.seconds));
    },
    shown: (items) => options("known-users", [...new Set(items.map((item) => item.user))]
      .filter((user) => !user.startsWith("!"))),
  };
}

let tables = [];
let before = "";

/** Builds both; `send(cid)` prepares an event to a channel. */
export function startLists(send) {
  tables = [new Table(channelRows(send)), new Table(connectionRows())];
}

export function loadLists() {
  for (const table of tables) table.load();
}

/** Reads them anew when counters say that something has changed. */
export function noteCounters(frame) {
  const now = [frame.connections, frame.watches, frame.channels].join("/");
  if (now === before) return;
  before = now;
  for (const table of tables) table.refresh();
}
