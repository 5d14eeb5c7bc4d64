// Sends a test event, by the same way as a client's or a backend's.
import { byId, el, foreign, setText, visible } from "./dom.js";
import { call, segment } from "./session.js";

const form = byId("send-form"), result = byId("send-result"), button = byId("send-button");
const chosen = (name) => form.elements[name].value;

class InputError extends Error {
  constructor(message, field) {
    super(message);
    this.field = field;
  }
}

// The text of the members of an object. It is checked, but not written anew: numbers keep their digits.
function members(text) {
  const trimmed = text.trim();
  if (trimmed === "") return "";
  let value;
  try {
    value = JSON.parse(trimmed);
  } catch (error) {
    throw new InputError("The data is no JSON: " + error.message, "send-data");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new InputError("The data must be a JSON object, as in {\"text\": \"Hey there\"}.", "send-data");
  }
  for (const name of ["type", "user", "user_id"]) {
    if (Object.hasOwn(value, name)) throw new InputError(`"${name}" has a field of its own above.`, "send-data");
  }
  return trimmed.slice(1, -1).trim();
}

function required(id, message) {
  const value = byId(id).value.trim();
  if (value === "") throw new InputError(message, id);
  return value;
}

function request() {
  const toUser = chosen("target") === "user", asServer = chosen("by") === "server";
  const to = required("send-to", toUser ? "Which user is it for?" : "Which channel is it for?");
  const parts = ["\"type\":" + JSON.stringify(required("send-type", "What type is the event of?"))];
  if (toUser) {
    const rest = members(byId("send-data").value);
    return ["/users/" + segment(to) + "/event", parts, rest];
  }
  const [, type, id] = /^([^:]*):(.*)$/s.exec(to) || [];
  if (!type || !id) throw new InputError("A channel is written type:id, as in messaging:lobby.", "send-to");
  const user = required("send-user", "Which user is it from?");
  if (asServer) parts.push("\"user_id\":" + JSON.stringify(user));
  const path = "/channels/" + segment(type) + "/" + segment(id) + "/event";
  return [asServer ? path : path + "?as=" + segment(user), parts, members(byId("send-data").value)];
}

function say(kind, ...content) {
  result.className = "result " + kind;
  result.replaceChildren(...content);
}

async function send() {
  if (button.getAttribute("aria-disabled") === "true") return;
  for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  button.setAttribute("aria-disabled", "true");
  try {
    const [path, parts, rest] = request();
    if (rest !== "") parts.push(rest);
    const answer = await call("POST", path, `{"event":{${parts.join(",")}}}`);
    const type = byId("send-type").value.trim();
    say("good", "Accepted: ", foreign(type), ` (${visible(answer.duration)}).`);
  } catch (error) {
    if (error instanceof InputError) {
      const field = byId(error.field);
      field.setAttribute("aria-invalid", "true");
      field.focus();
      say("bad", error.message);
    } else {
      say("bad", el("b", {}, error.code === undefined ? "Not sent. " : `Refused, code ${error.code}. `),
        foreign(error.message));
    }
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

function showChoice() {
  const toUser = chosen("target") === "user";
  setText(byId("send-to-label").firstElementChild, toUser ? "User" : "Channel");
  byId("send-to").placeholder = toUser ? "tommaso" : "messaging:lobby";
  byId("send-to").setAttribute("list", toUser ? "known-users" : "known-channels");
  byId("send-by").hidden = toUser;
  byId("send-user-label").hidden = toUser;
  byId("send-user").required = !toUser;
}

/** Prepares an event to a channel. */
export function sendTo(cid) {
  form.elements.target.value = "channel";
  showChoice();
  byId("send-to").value = cid;
  (byId("send-user").value === "" ? byId("send-user") : byId("send-type")).focus();
}

export function startSend() {
  form.noValidate = true; // said below the form, in the same words for everybody
  form.addEventListener("submit", (submit) => {
    submit.preventDefault();
    send();
  });
  form.addEventListener("change", showChoice);
  form.addEventListener("keydown", (press) => {
    if (press.key === "Enter" && (press.ctrlKey || press.metaKey)) send();
  });
  showChoice();
}
