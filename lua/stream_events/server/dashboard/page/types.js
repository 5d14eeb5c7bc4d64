// Channel types: the switch of their custom events, and their grants.
import { announce, byId, el, foreign, number, oneLine, reconcile, setText } from "./dom.js";
import { Grants } from "./grants.js";
import { call, problemOf, segment } from "./session.js";

const rows = new Map();
const problem = byId("types-error");
let changes = 0; // an answer that was asked for before the last one is old

async function put(name, fields) {
  try {
    return await call("PUT", "/channeltypes/" + segment(name), JSON.stringify(fields));
  } finally {
    changes++;
  }
}

function showSwitch(row, on) {
  row.parts.toggle.setAttribute("aria-checked", String(on));
  setText(row.parts.state, on ? "on" : "off");
}

async function flip(row) {
  const { toggle, problem: own } = row.parts;
  if (toggle.getAttribute("aria-busy") === "true") return;
  const wanted = toggle.getAttribute("aria-checked") !== "true";
  toggle.setAttribute("aria-busy", "true");
  showSwitch(row, wanted);
  setText(own, "");
  try {
    show(row, await put(row.name, { custom_events: wanted }));
    announce(`Custom events are ${wanted ? "on" : "off"} for ${oneLine(row.name)}`);
  } catch (error) {
    showSwitch(row, !wanted);
    setText(own, error.message);
  } finally {
    toggle.removeAttribute("aria-busy");
  }
}

function make(type) {
  const state = el("span", { class: "state", "aria-hidden": "true" });
  const toggle = el("button", { type: "button", role: "switch", class: "switch",
    "aria-label": "Custom events of " + oneLine(type.name), onclick: () => flip(row) },
  el("span", { class: "knob" }));
  const count = el("span", { class: "count" });
  const own = el("p", { class: "error", role: "alert" });
  const inside = el("div", { class: "grants" });
  const details = el("details", {}, el("summary", {}, "Grants · ", count), inside);
  const row = el("li", { class: "type-row" },
    el("div", { class: "row" }, foreign(type.name, { class: "name" }), el("span", { class: "spacer" }), state, toggle),
    own, details);
  row.name = type.name;
  row.parts = { toggle, state, problem: own, count };
  row.grants = new Grants(inside, async (grants) => show(row, await put(type.name, { grants })));
  details.addEventListener("toggle", () => row.grants.show(details.open));
  return row;
}

function show(row, type) {
  showSwitch(row, type.custom_events);
  const roles = Object.values(type.grants).filter((list) => list.length > 0).length;
  setText(row.parts.count, number(roles) + (roles === 1 ? " role" : " roles"));
  row.grants.take(type.grants);
}

/** Reads the types anew. */
export async function loadTypes() {
  const before = changes;
  try {
    const answer = await call("GET", "/channeltypes");
    if (before !== changes) return await loadTypes();
    const types = Object.values(answer.channel_types).sort((a, b) => (a.name < b.name ? -1 : 1));
    reconcile(byId("type-list"), rows, types, (type) => type.name, make, (row, type) => {
      // One that is just being changed is shown by the answer to the change.
      if (row.parts.toggle.getAttribute("aria-busy") !== "true") show(row, type);
    });
    setText(problem, "");
  } catch (error) {
    setText(problem, problemOf(error));
  }
}
