// Contact volume of one queue and day: what entered, what was given up, how long handling took,
// with what is not final told apart, and the table under it.

import { address, all, get } from "../api.js";
import { bars, legend, line } from "../charts.js";
import { h } from "../dom.js";
import { clock, clockSpan, day, dayBeside, dayStart, isoDay, moment, number, percent, shownZone, utc } from "../format.js";
import { boxNow, listen } from "../live.js";
import { card, choices, empty, failure, field, pill, reading, table } from "../parts.js";

const WORDS = { final: "final", provisional: "provisional", restated: "restated", missing: "missing", not_said: "not said" };
const LEVELS = { final: "ok", provisional: "idle", restated: "setup", missing: "error", not_said: "idle" };

const idOf = (queue) => `${queue.source}/${queue.queue_id}`;

/** Opens the view. */
export function open(context) {
  let asked = { queue: context.parameters.get("queue") ?? "", day: context.parameters.get("day") ?? "" };
  const redraw = () => context.draw(...page(asked, queues, volume, go));
  const go = (changed) => context.goTo({ ...asked, ...changed });
  const queues = reading(readQueues, redraw);
  const volume = reading(readDay, redraw);
  const begin = async () => {
    if (queues.value === null) await queues.read();
    if (queues.value === null) return;
    if (!asked.day) asked.day = isoDay(boxNow());
    if (!asked.queue) asked.queue = queues.value.busiest;
    if (asked.queue) await volume.read(asked.queue, asked.day);
  };
  // A day that goes on is read again when the feed brought something.
  let data = null;
  const forget = listen("status", (picture) => {
    const now = picture.feeds.filter((feed) => feed.feed === "historical").map((feed) => feed.last_data_at).join();
    const goesOn = asked.day >= dayBeside(isoDay(boxNow()), -1);
    if (data !== null && now !== data && goesOn && volume.value && !volume.busy) void volume.read(asked.queue, asked.day);
    data = now;
  });
  const onResize = () => redraw();
  addEventListener("resize", onResize);
  redraw();
  void begin();
  return {
    redraw,
    turn: (parameters) => {
      asked = { queue: parameters.get("queue") ?? asked.queue, day: parameters.get("day") ?? asked.day };
      void begin();
    },
    leave: () => {
      forget();
      removeEventListener("resize", onResize);
    },
  };
}

/** The queues by name, and the one that had most contacts lately: a day is begun with it. */
async function readQueues() {
  const { rows, more } = await all("queues");
  const now = boxNow();
  const recent = await get("intervals", { from: utcIso(now - 7_200_000), to: utcIso(now) });
  const entered = new Map();
  for (const row of recent.rows) entered.set(idOf(row), (entered.get(idOf(row)) ?? 0) + (row.entered ?? 0));
  const named = rows.map((queue) => ({ id: idOf(queue), name: queue.name ?? queue.queue_id, source: queue.source, active: queue.is_active }));
  for (const row of recent.rows) {
    if (!named.some((queue) => queue.id === idOf(row))) named.push({ id: idOf(row), name: row.queue_name ?? row.queue_id, source: row.source, active: true });
  }
  named.sort((a, b) => Number(b.active) - Number(a.active) || a.name.localeCompare(b.name));
  const busiest = [...entered].sort((a, b) => b[1] - a[1])[0]?.[0] ?? named[0]?.id ?? "";
  return { rows: named, busiest, more };
}

const utcIso = (at) => new Date(at).toISOString().replace(/\.\d+Z/, "Z");

function span(queue, iso) {
  const at = queue.indexOf("/");
  return { source: queue.slice(0, at), queue: queue.slice(at + 1), from: utcIso(dayStart(iso)), to: utcIso(dayStart(dayBeside(iso, 1))) };
}

async function readDay(queue, iso) {
  const parameters = span(queue, iso);
  const { rows } = await all("intervals", parameters);
  return { queue, iso, rows, csv: address("intervals", { ...parameters, format: "csv" }) };
}

function page(asked, queues, volume, go) {
  if (queues.error) return [failure(queues.error)];
  if (queues.value === null) return [h("p", { class: "muted" }, "Reading the queues …")];
  if (queues.value.rows.length === 0) {
    return [card("No queue yet", {}, empty("No queue has been imported.", "Queues come with the first import over the historical connection. ", h("a", { href: "#/configuration" }, "Look at the connection"), "."))];
  }
  return [
    picker(asked, queues.value.rows, go),
    volume.error && failure(volume.error),
    volume.value === null && !volume.error && h("p", { class: "muted" }, "Reading the day …"),
    volume.value && [totals(volume.value), charts(volume.value), figures(volume.value)],
  ];
}

function picker(asked, queues, go) {
  const several = new Set(queues.map((queue) => queue.source)).size > 1;
  const words = (queue) => `${queue.name}${several ? ` (${queue.source})` : ""}${queue.active ? "" : ", closed"}`;
  const known = queues.some((queue) => queue.id === asked.queue);
  const list = queues.map((queue) => [queue.id, words(queue)]);
  if (!known && asked.queue) list.unshift([asked.queue, asked.queue]);
  const select = choices({ onchange: (event) => go({ queue: event.target.value }) }, list, asked.queue);
  const date = h("input", { type: "date", value: asked.day, max: isoDay(boxNow()), onchange: (event) => event.target.value && go({ day: event.target.value }) });
  const last = isoDay(boxNow()) <= asked.day;
  return h("div", { class: "toolbar", "data-key": "filters" },
    field("queue", "Queue", select), field("day", `Day (${shownZone()})`, date),
    h("div", { class: "pair" },
      h("button", { type: "button", onclick: () => go({ day: dayBeside(asked.day, -1) }) }, "‹ Day before"),
      h("button", { type: "button", disabled: last, onclick: () => go({ day: dayBeside(asked.day, 1) }) }, "Day after ›")));
}

const sum = (rows, key) => rows.reduce((total, row) => (row[key] === null ? total : (total ?? 0) + row[key]), null);
const over = (a, b) => (a === null || !b ? null : a / b);

function totals({ rows }) {
  const [entered, abandoned, handled] = ["entered", "abandoned", "handle_time_s"].map((key) => sum(rows, key));
  const missing = rows.filter((row) => row.status === "missing").length;
  const tile = (name, value, note) => h("div", { class: "tile" }, h("dt", {}, name), h("dd", {}, value, note && h("span", { class: "muted" }, ` ${note}`)));
  return h("dl", { class: "tiles" },
    tile("Entered", number(entered)),
    tile("Abandoned", number(abandoned), abandoned === null ? "" : percent(over(abandoned, entered))),
    tile("Average handle time", clockSpan(over(handled, entered)), "per entered contact"),
    tile("Missing", number(missing), missing === 1 ? "quarter hour" : "quarter hours"));
}

function charts({ rows, queue, iso, csv }) {
  const name = rows.find((row) => row.queue_name)?.queue_name ?? queue;
  if (rows.length === 0) return card("No closed quarter hour", {}, empty("Nothing of this day is over yet.", "A quarter hour appears about five minutes after its end."));
  const points = rows.map((row) => ({
    status: row.status, entered: row.entered, abandoned: row.abandoned, aht: row.aht_per_entered_s, clock: clock(row.interval_start),
    text: `${clock(row.interval_start)}: ${WORDS[row.status]}${row.entered === null ? "" : `, ${number(row.entered)} entered, ${number(row.abandoned)} abandoned, average handle time ${clockSpan(row.aht_per_entered_s)}`}`,
  }));
  const about = `${name}, ${day(dayStart(iso) + 43_200_000)}, by quarter hour`;
  return [
    card("Contacts by quarter hour", { class: "chart" }, bars(points, `Contacts entered and abandoned: ${about}. The figures are in the table below.`), legend()),
    card("Average handle time per entered contact", { class: "chart" }, line(points, `Average handle time: ${about}. The figures are in the table below.`)),
    h("p", {}, h("a", { class: "button", href: csv, download: `volume-${iso}.csv` }, "Download CSV"), h("span", { class: "muted" }, " one line a quarter hour, moments in UTC")),
  ];
}

function figures({ rows }) {
  if (rows.length === 0) return null;
  return card("Figures", { class: "figures" }, table("Contact volume by quarter hour", [
    { name: "From", head: true, cell: (row) => h("time", { datetime: row.interval_start, title: utc(row.interval_start) }, clock(row.interval_start)) },
    { name: "Entered", class: "number", cell: (row) => number(row.entered) },
    { name: "Abandoned", class: "number", cell: (row) => number(row.abandoned) },
    { name: "Rate", class: "number", cell: (row) => percent(row.abandon_rate) },
    { name: "Handle time", class: "number", cell: (row) => clockSpan(row.handle_time_s) },
    { name: "Per entered", class: "number", cell: (row) => clockSpan(row.aht_per_entered_s) },
    { name: "Per handled", class: "number", cell: (row) => clockSpan(row.aht_per_handled_s) },
    { name: "Status", cell: (row) => [pill(LEVELS[row.status], WORDS[row.status]), row.revision > 1 && h("span", { class: "muted" }, ` revision ${row.revision}`), row.suspect && [" ", pill("warning", row.suspect.replaceAll("_", " "))]] },
    { name: "Answered", cell: (row) => (row.answered_at ? h("time", { datetime: row.answered_at, title: utc(row.answered_at) }, moment(row.answered_at)) : "–") },
  ], rows, { wide: true, key: (row) => row.interval_start }));
}
