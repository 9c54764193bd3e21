// Charts as SVG, drawn for the width that is there. A figure that may still change, was changed,
// or is not there looks different, without its colour too.

import { h, s } from "./dom.js";
import { clockSpan, number } from "./format.js";

const HEIGHT = 210;
const LEFT = 46;
const BOTTOM = 24;
const TOP = 10;

function frame(points, label, most, words) {
  const width = Math.max(300, Math.min(1180, document.getElementById("main").clientWidth - 74));
  const inner = { width: width - LEFT - 4, height: HEIGHT - BOTTOM - TOP };
  const x = (at) => LEFT + (at / points.length) * inner.width;
  const y = (value) => TOP + inner.height * (1 - value / most);
  const ticks = [0, most / 2, most].map((value) => [
    s("line", { class: "grid", x1: LEFT, x2: width, y1: y(value), y2: y(value) }),
    s("text", { class: "tick", x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, words(value)),
  ]);
  const every = width < 500 ? 4 : 2;
  const hours = points.map((point, at) => {
    const [hour, minute] = point.clock.split(":").map(Number);
    return minute === 0 && hour % every === 0 && s("text", { class: "tick", x: x(at), y: HEIGHT - 6, "text-anchor": "middle" }, String(hour));
  });
  return {
    x, y, step: inner.width / points.length, bottom: TOP + inner.height,
    picture: (...shapes) => s("svg", { class: "plot", viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": label }, patterns(), ticks, shapes, hours),
  };
}

function patterns() {
  return s("defs", {},
    s("pattern", { id: "provisional", width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
      s("rect", { class: "fill-entered faint", width: 5, height: 5 }), s("rect", { class: "fill-entered", width: 2, height: 5 })),
    s("pattern", { id: "missing", width: 8, height: 8, patternUnits: "userSpaceOnUse" },
      s("path", { class: "missing-cross", d: "M0 0l8 8M8 0l-8 8" })));
}

/** A round number that is at least this. */
function ceiling(most) {
  if (most <= 4) return 4;
  const size = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 3, 4, 6, 8, 10].map((part) => part * size).find((round) => round >= most);
}

function gap(plot, point, at) {
  if (point.status !== "missing") return null;
  return s("rect", { class: "missing", x: plot.x(at), y: TOP, width: plot.step, height: plot.bottom - TOP, fill: "url(#missing)" }, s("title", {}, point.text));
}

/** Entered as bars, the abandoned part of them at the foot. */
export function bars(points, label) {
  const most = ceiling(Math.max(0, ...points.map((point) => point.entered ?? 0)));
  const plot = frame(points, label, most, number);
  const width = Math.max(1, plot.step - (plot.step > 4 ? 1.5 : 0.6));
  return plot.picture(points.map((point, at) => {
    if (point.status === "missing") return gap(plot, point, at);
    if (point.entered === null) return s("circle", { class: "not-said", cx: plot.x(at) + width / 2, cy: plot.bottom - 3, r: 1.6 }, s("title", {}, point.text));
    const x = plot.x(at);
    const top = plot.y(point.entered);
    const lost = plot.y(point.abandoned ?? 0);
    return s("g", {}, s("title", {}, point.text),
      s("rect", { class: `bar ${point.status}`, x, y: top, width, height: plot.bottom - top, fill: point.status === "provisional" ? "url(#provisional)" : null }),
      s("rect", { class: "bar-abandoned", x, y: lost, width, height: plot.bottom - lost }),
      point.status === "restated" && s("path", { class: "restated-mark", d: `M${x + width / 2 - 3} ${top - 7}h6l-3 5z` }));
  }));
}

/** Average handle time as a line that breaks where nothing is known. */
export function line(points, label) {
  const most = ceiling(Math.max(60, ...points.map((point) => point.aht ?? 0)) / 60) * 60;
  const plot = frame(points, label, most, (value) => clockSpan(value));
  const middle = (at) => plot.x(at) + plot.step / 2;
  let path = "";
  points.forEach((point, at) => {
    if (point.aht === null) return;
    const before = at > 0 && points[at - 1].aht !== null;
    path += `${before ? "L" : "M"}${middle(at).toFixed(1)} ${plot.y(point.aht).toFixed(1)}`;
  });
  return plot.picture(points.map((point, at) => gap(plot, point, at)), s("path", { class: "aht", d: path }),
    points.map((point, at) => point.aht !== null && s("circle", { class: `aht-point ${point.status}`, cx: middle(at), cy: plot.y(point.aht), r: point.status === "final" ? 1.8 : 2.6 }, s("title", {}, point.text))));
}

/** What the bars mean. */
export function legend() {
  const swatch = (...shapes) => s("svg", { viewBox: "0 0 16 14", width: 16, height: 14, "aria-hidden": "true" }, shapes);
  const item = (words, ...shapes) => h("li", {}, swatch(...shapes), words);
  const block = { x: 3, y: 1, width: 10, height: 12 };
  return h("ul", { class: "legend" },
    item("entered, final", s("rect", { class: "bar final", ...block })),
    item("provisional: it may still change", s("rect", { class: "bar provisional", fill: "url(#provisional)", ...block })),
    item("restated: changed after it was final", s("rect", { class: "bar restated", x: 4, y: 6, width: 8, height: 7 }), s("path", { class: "restated-mark", d: "M5 0h6l-3 5z" })),
    item("abandoned", s("rect", { class: "bar-abandoned", ...block })),
    item("missing: not fetched yet", s("rect", { class: "missing", fill: "url(#missing)", x: 1, y: 1, width: 14, height: 12 })),
    item("the source said nothing", s("circle", { class: "not-said", cx: 8, cy: 10, r: 2 })));
}
