// The grants of one channel type: each role with its permissions, to read and to change.
import { byId, el, foreign, oneLine, reconcile, setText } from "./dom.js";

const IMPORTANT = /^!?(send-custom-event|read-channel)(-owner|-any-team)?(:|$)/;
// The order in which roles are read: from those who may most.
const ORDER = ["admin", "moderator", "channel_moderator", "channel_member", "user", "guest", "anonymous"];

function inOrder(a, b) {
  const one = ORDER.indexOf(a.role), other = ORDER.indexOf(b.role);
  if (one >= 0 || other >= 0) return (one < 0 ? ORDER.length : one) - (other < 0 ? ORDER.length : other);
  return a.role < b.role ? -1 : 1;
}

const permissionsOf = (text) => [...new Set(text.split(/[\s,]+/).filter((word) => word !== ""))];

let editors = 0; // numbers them, for labels

export class Grants {
  /** `save(grants)` puts them in force, or throws what the server says against it. */
  constructor(place, save) {
    this.save = save;
    this.rows = new Map();
    this.list = el("ul", { class: "roles" });
    this.problem = el("p", { class: "error", role: "alert" });
    this.name = el("input", { spellcheck: "false", "aria-label": "Another role", placeholder: "another role" });
    const add = el("form", { class: "row add" }, this.name, el("button", { class: "small" }, "Add role"));
    add.addEventListener("submit", (submit) => {
      submit.preventDefault();
      this.add(this.name.value.trim());
    });
    this.reset = el("button", { type: "button", class: "small reset", onclick: () => this.resetAll() }, "Reset all");
    this.reset.addEventListener("blur", () => this.armReset(false));
    place.append(this.list, el("div", { class: "row" }, add, this.reset), this.problem);
  }

  /** Takes what the server says they are. */
  take(grants) {
    this.grants = grants;
    if (this.shown) this.draw();
  }

  /** Shows them, or forgets the rows of those that nobody looks at. */
  show(shown) {
    this.shown = shown;
    if (shown) this.draw();
  }

  draw() {
    const roles = Object.entries(this.grants).map(([role, list]) => ({ role, list }));
    if (this.added !== undefined && !roles.some((item) => item.role === this.added)) {
      roles.push({ role: this.added, list: [] });
    }
    reconcile(this.list, this.rows, roles.sort(inOrder), (item) => item.role, (item) => this.make(item),
      (row, item) => this.fill(row, item));
  }

  make({ role }) {
    const chips = el("ul", { class: "chips" });
    const edit = el("button", { type: "button", class: "small", "aria-expanded": "false",
      "aria-label": "Edit the permissions of " + oneLine(role), onclick: () => this.edit(row, !row.editor) }, "Edit");
    const row = el("li", {}, el("div", { class: "row" }, foreign(role, { class: "role" }),
      el("span", { class: "spacer" }), edit), chips);
    row.role = role;
    row.chips = chips;
    row.button = edit;
    return row;
  }

  fill(row, { list }) {
    const text = list.join("\n");
    if (row.list && row.text === text) return;
    row.list = list;
    row.text = text;
    row.chips.replaceChildren(...(list.length === 0 ? [el("li", { class: "none" }, "may do nothing here")]
      : list.map((id) => foreign(id, { class: IMPORTANT.test(id) ? "chip important" : "chip" }))
        .map((chip) => el("li", {}, chip))));
  }

  edit(row, on) {
    row.button.setAttribute("aria-expanded", String(on));
    setText(row.button, on ? "Cancel" : "Edit");
    if (!on) {
      row.editor.remove();
      row.editor = undefined;
      row.button.focus();
      return;
    }
    const id = "grants-editor-" + ++editors;
    const problem = el("p", { class: "error", role: "alert", id: id + "-error" });
    const area = el("textarea", { id, spellcheck: "false", rows: Math.min(12, row.list.length + 1),
      "aria-describedby": id + "-error" });
    area.value = row.text;
    row.editor = el("form", { class: "editor" },
      el("label", { for: id }, "Permissions, one a line; none takes all away"), area, problem,
      el("button", { class: "primary small" }, "Save"));
    row.editor.addEventListener("submit", (submit) => {
      submit.preventDefault();
      this.store(row, permissionsOf(area.value), problem);
    });
    row.editor.addEventListener("keydown", (press) => {
      if (press.key === "Escape") this.edit(row, false);
    });
    row.append(row.editor);
    area.focus();
  }

  async store(row, list, problem) {
    setText(problem, "");
    try {
      await this.save(Object.fromEntries([[row.role, list]]));
      if (this.added === row.role) this.added = undefined;
      if (row.editor) this.edit(row, false);
    } catch (error) {
      setText(problem, error.message);
    }
  }

  add(role) {
    if (role === "") return this.name.focus();
    if (!Object.hasOwn(this.grants, role)) this.added = role;
    this.name.value = "";
    this.draw();
    const row = this.rows.get(role);
    if (!row.editor) this.edit(row, true);
  }

  armReset(armed) {
    this.armed = armed;
    setText(this.reset, armed ? "Really reset all?" : "Reset all");
  }

  // The first press asks, the second does it.
  async resetAll() {
    if (!this.armed) return this.armReset(true);
    this.armReset(false);
    setText(this.problem, "");
    try {
      this.added = undefined;
      await this.save(null);
      byId("announcer").textContent = "The grants are as they were at the beginning";
    } catch (error) {
      setText(this.problem, error.message);
    }
  }
}
