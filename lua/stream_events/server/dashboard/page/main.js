// The dashboard: asks for the key, then keeps what is shown as it is on the server.
import { announce, byId, lasting, setText } from "./dom.js";
import { showCounters } from "./counters.js";
import { noteGap, showEvents, startEvents } from "./events.js";
import { loadLists, noteCounters, startLists } from "./lists.js";
import { sendTo, startSend } from "./send.js";
import { forgetKey, hasKey, onLocked, takeKey, useKey } from "./session.js";
import { Stream } from "./stream.js";
import { loadTypes } from "./types.js";

const REFRESH = 10000; // milliseconds, of what nobody tells us about

const link = byId("link");
let wasOpen = false;

function showLink(state, text) {
  link.dataset.state = state;
  setText(byId("link-text"), text);
  byId("retry").hidden = state !== "waiting";
}

const stream = new Stream({
  frame(frame) {
    if (frame.type === "events") {
      showEvents(frame);
    } else if (frame.type === "counters") {
      showCounters(frame);
      noteCounters(frame);
      showLink("open", "Live, up " + lasting(frame.uptime));
    }
  },
  state(state, seconds, why) {
    if (state === "open") {
      showLink("open", "Live");
      if (wasOpen) {
        announce("The connection is back");
        noteGap();
      }
      wasOpen = true;
      load();
    } else if (state === "waiting") {
      if (link.dataset.state === "open") announce("The connection is lost; it is tried again");
      showLink("waiting", `${(why || "No connection").replace(/\.$/, "")}, again in ${seconds} s`);
    } else if (link.dataset.state !== "waiting") {
      showLink("connecting", "Connecting …");
    }
  },
});

function load() {
  loadTypes();
  loadLists();
}

function show(open) {
  byId("lock").hidden = open;
  byId("board").hidden = !open;
  byId("sections").hidden = !open;
}

function unlock() {
  show(true);
  stream.start();
}

function lock(error) {
  stream.stop();
  forgetKey();
  wasOpen = false;
  show(false);
  showLink("closed", "Not connected");
  setText(byId("key-error"), error ? "The server does not take this key. It makes a new one whenever it "
    + "starts, unless dashboard_key is set." : "");
  byId("key").value = "";
  byId("key").focus();
}

byId("key-form").addEventListener("submit", (submit) => {
  submit.preventDefault();
  const text = byId("key").value.trim();
  if (text === "") return byId("key").focus();
  // Whoever has only the address at hand may paste that.
  useKey(text.replace(/^.*#key=/, ""));
  unlock();
});
byId("retry").addEventListener("click", () => stream.hurry());
addEventListener("hashchange", () => takeKey() && unlock());
setInterval(() => {
  if (!document.hidden && link.dataset.state === "open") load();
}, REFRESH);

onLocked(lock);
startEvents();
startSend();
startLists(sendTo);
takeKey();
if (hasKey()) unlock();
else lock();
