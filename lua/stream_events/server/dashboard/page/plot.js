// The plot of the last two minutes: events and drops per second.
import { byId, number, setText } from "./dom.js";

const SECONDS = 120, TOP = 2, BOTTOM = 98;
const samples = []; // { accepted, refused }, the newest last
let drawn = false;

// The next number that reads well: 1, 2, 5, 10, ...
function ceiling(value) {
  let step = 1;
  for (;;) {
    for (const factor of [1, 2, 5]) if (value <= step * factor) return step * factor;
    step *= 10;
  }
}

function points(name, most) {
  const first = SECONDS - samples.length + 1;
  return samples.map((sample, i) =>
    (first + i) + "," + (BOTTOM - (sample[name] / most) * (BOTTOM - TOP)).toFixed(2));
}

function draw() {
  drawn = false;
  const most = ceiling(Math.max(1, ...samples.map((sample) => Math.max(sample.accepted, sample.refused))));
  const accepted = points("accepted", most);
  byId("plot-accepted").setAttribute("points", accepted.join(" "));
  byId("plot-refused").setAttribute("points", points("refused", most).join(" "));
  const start = SECONDS - samples.length + 1;
  byId("plot-area").setAttribute("points",
    [start + "," + BOTTOM, ...accepted, SECONDS + "," + BOTTOM].join(" "));
  const newest = samples[samples.length - 1];
  setText(byId("plot-most"), number(most) + "/s");
  setText(byId("rate-accepted"), number(newest.accepted));
  setText(byId("rate-refused"), number(newest.refused));
  byId("plot").setAttribute("aria-label", `Events and drops per second, the last two minutes. Now: ${
    number(newest.accepted)} events, ${number(newest.refused)} drops; the scale ends at ${number(most)}`);
}

/** Adds what happened in a second. */
export function addSample(accepted, refused) {
  samples.push({ accepted, refused });
  if (samples.length > SECONDS) samples.shift();
  if (!drawn) {
    drawn = true;
    requestAnimationFrame(draw);
  }
}
