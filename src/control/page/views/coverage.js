// What is known of each quarter hour: a calendar by feed and UTC day. A cell tells why, and the
// contact volume can be asked for again from here.

import { all } from "../api.js";
import { h } from "../dom.js";
import { clock, dayBeside, moment, number, shownZone, span, time, utc } from "../format.js";
import { boxNow, listen, refresh, status } from "../live.js";
import { announce, card, choices, empty, failure, feedName, field, notice, reading } from "../parts.js";
import { change } from "../session.js";

const SHOWN = { fetched: "fetched", empty: "empty", missing: "missing", unknown: "unknown", pending: "not yet", none: "before the installation" };
const QUARTER_MS = 900_000;

/** Opens the view. */
export function open(context) {
  const chosen = { days: context.parameters.get("days") ?? "7", cell: null, said: null, busy: false };
  const redraw = () => context.draw(...page(calendar, chosen, acts));
  const calendar = reading(async (days) => {
    const now = boxNow();
    const from = Date.parse(`${dayBeside(new Date(now).toISOString().slice(0, 10), 1 - days)}T00:00:00Z`);
    return all("coverage", { from: utcIso(from), to: utcIso(now) });
  }, redraw);
  const read = () => calendar.read(Number(chosen.days));
  const acts = {
    days: (days) => context.goTo({ days }),
    pick: (row, at) => {
      chosen.cell = { row, at };
      chosen.said = null;
      redraw();
    },
    backfill: async (row, from, to, dryRun) => {
      chosen.busy = true;
      redraw();
      chosen.said = await backfill(row, from, to, dryRun);
      chosen.busy = false;
      redraw();
      await refresh();
    },
  };
  const forget = listen("status", redraw);
  const timer = setInterval(() => document.visibilityState === "visible" && void read(), 60_000);
  redraw();
  void read();
  return {
    redraw,
    turn: (parameters) => {
      chosen.days = parameters.get("days") ?? chosen.days;
      void read();
    },
    leave: () => {
      clearInterval(timer);
      forget();
    },
  };
}

const utcIso = (at) => new Date(at).toISOString().replace(/\.\d+Z/, "Z");
const utcClock = (at) => new Date(at).toISOString().slice(11, 16);

async function backfill(row, from, to, dryRun) {
  try {
    const done = await change("backfill", { source: row.source, from: utcIso(from), to: utcIso(to), dry_run: dryRun });
    if (done === null) return null;
    announce("Queued");
    return () => notice("ok", dryRun ? "Queued as a trial: it reads and compares, and writes nothing." : "Queued: Thrio is asked again, and what differs is replaced.", " It appears below.");
  } catch (error) {
    return () => failure(error);
  }
}

function page(calendar, chosen, acts) {
  const groups = new Map();
  for (const row of calendar.value?.rows ?? []) {
    const key = `${row.source}/${row.feed}`;
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  const several = new Set((calendar.value?.rows ?? []).map((row) => row.source)).size > 1;
  return [
    h("div", { class: "toolbar" },
      field("span", "Show", choices({ onchange: (event) => acts.days(event.target.value) }, [["3", "3 days"], ["7", "7 days"], ["14", "14 days"], ["35", "35 days"]], chosen.days)),
      legend()),
    calendar.error && failure(calendar.error),
    calendar.value === null && !calendar.error && h("p", { class: "muted" }, "Reading what is known …"),
    calendar.value && groups.size === 0 && card("Nothing is expected yet", {}, empty("No feed of quarter hours is set up.", h("a", { href: "#/configuration" }, "Set up a source"), ".")),
    [...groups.values()].map((rows) => group(rows, several, chosen, acts)),
    backfills(),
  ];
}

function legend() {
  return h("ul", { class: "legend" }, Object.entries(SHOWN).map(([kind, words]) => h("li", {}, h("i", { class: `quarter ${kind}`, "aria-hidden": "true" }), words)));
}

function group(rows, several, chosen, acts) {
  const { source, feed } = rows[0];
  const newest = [...rows].reverse();
  const mine = chosen.cell && chosen.cell.row.source === source && chosen.cell.row.feed === feed;
  const title = `${feedName(feed)}${several ? `, ${source}` : ""}`;
  return card(title, { "data-key": `${source}/${feed}` }, summary(rows),
    h("div", { class: "hours", "aria-hidden": "true" }, [0, 3, 6, 9, 12, 15, 18, 21].map((hour) => h("span", {}, String(hour).padStart(2, "0")))),
    h("div", { class: "calendar", role: "grid", "aria-label": `${title}: quarter hours by UTC day`, onkeydown: walk }, newest.map((row, at) => dayRow(row, at === 0, chosen, acts))),
    h("p", { class: "hint" }, "Days and hours in UTC, where a day always has 96 quarter hours. Choose one with the mouse or the arrow keys."),
    mine && details(chosen, acts));
}

function summary(rows) {
  const counts = {};
  for (const row of rows) for (const quarter of row.quarters) counts[quarter.shown] = (counts[quarter.shown] ?? 0) + 1;
  const bad = (counts.missing ?? 0) + (counts.unknown ?? 0);
  if (bad === 0) return h("p", {}, "Nothing is missing.");
  const parts = ["missing", "unknown"].filter((kind) => counts[kind]).map((kind) => `${number(counts[kind])} ${SHOWN[kind]}`);
  return h("p", {}, h("strong", {}, `${parts.join(", ")}`), ` of ${number(rows.length * 96)} quarter hours.`);
}

function dayRow(row, first, chosen, acts) {
  const picked = chosen.cell && chosen.cell.row.source === row.source && chosen.cell.row.feed === row.feed && chosen.cell.row.day === row.day ? chosen.cell.at : null;
  const label = new Date(`${row.day}T00:00:00Z`).toLocaleDateString("en-GB", { timeZone: "UTC", weekday: "short", day: "numeric", month: "short" });
  return h("div", { class: "calendar-day", role: "row", "data-key": row.day },
    h("span", { class: "calendar-name", role: "rowheader" }, label),
    h("div", { class: "quarters", role: "presentation" }, row.quarters.map((quarter, at) => h("button", {
      type: "button", role: "gridcell", class: `quarter ${quarter.shown}`, tabindex: picked === at || (picked === null && first && at === 0) ? 0 : -1,
      "aria-selected": String(picked === at), "aria-label": `${label} ${utcClock(quarter.start)} UTC: ${SHOWN[quarter.shown]}`,
      title: `${utcClock(quarter.start)} UTC: ${SHOWN[quarter.shown]}`, onclick: () => acts.pick(row, at),
    }))));
}

/** Arrow keys walk over the calendar; one cell of it is a tab stop. */
function walk(event) {
  const steps = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0], Home: [0, -95], End: [0, 95] };
  const step = steps[event.key];
  const cell = event.target.closest("button");
  if (!step || !cell) return;
  event.preventDefault();
  const rows = [...event.currentTarget.querySelectorAll(".quarters")];
  const row = rows.indexOf(cell.parentElement);
  const at = [...cell.parentElement.children].indexOf(cell);
  const next = rows[Math.min(rows.length - 1, Math.max(0, row + step[0]))]?.children[Math.min(95, Math.max(0, at + step[1]))];
  for (const other of event.currentTarget.querySelectorAll("button")) other.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

function details({ cell: { row, at }, said, busy }, acts) {
  const quarter = row.quarters[at];
  const start = Date.parse(quarter.start);
  const dayAt = Date.parse(`${row.day}T00:00:00Z`);
  const facts = [
    ["When", [`${utcClock(start)} to ${utcClock(start + QUARTER_MS)} UTC`, shownZone() !== "UTC" && `, ${clock(start)} in ${shownZone()}`]],
    ["Rows", quarter.rows !== null && number(quarter.rows)],
    ["Polls", quarter.polls_made !== null && `${number(quarter.polls_made)} of ${number(quarter.polls_expected)} expected`],
    ["Nobody saw", quarter.unknown_s ? span(quarter.unknown_s) : false],
    ["Attempts", quarter.attempts !== null && number(quarter.attempts)],
    ["Answered", quarter.fetched_at && time(quarter.fetched_at)],
    ["Final", quarter.final_at && time(quarter.final_at)],
    ["Last error", quarter.last_error],
  ];
  const over = start + QUARTER_MS <= boxNow();
  return h("div", { class: "details", "aria-live": "polite" },
    h("h3", {}, `${row.day} ${utcClock(start)}: ${SHOWN[quarter.shown]}`), h("p", {}, quarter.why),
    h("dl", { class: "facts" }, facts.filter(([, value]) => value).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    row.feed === "historical" && over && h("div", { class: "actions" },
      h("button", { type: "button", class: "primary", disabled: busy, onclick: () => void acts.backfill(row, start, start + QUARTER_MS, false) }, "Ask Thrio again for this quarter hour"),
      h("button", { type: "button", disabled: busy, onclick: () => void acts.backfill(row, dayAt, Math.min(dayAt + 96 * QUARTER_MS, boxNow()), false) }, "For the whole day"),
      h("button", { type: "button", disabled: busy, onclick: () => void acts.backfill(row, dayAt, Math.min(dayAt + 96 * QUARTER_MS, boxNow()), true) }, "Only compare the day")),
    row.feed === "realtime" && h("p", { class: "muted" }, "States of agents cannot be asked for again: a span that nobody saw stays unknown."),
    said);
}

/** The re-reads by hand that are under way, and the last that ended. */
function backfills() {
  const found = (status()?.feeds ?? []).flatMap((feed) => (feed.details.backfills ?? []).map((one) => ({ ...one, source: feed.source })));
  if (found.length === 0) return null;
  return card("Asked again by hand", {}, h("ul", { class: "plain" }, found.reverse().map((one) => {
    // These moments are Unix seconds.
    const [from, to, next] = [one.window.from, one.window.to, one.next].map((at) => at * 1000);
    const tally = one.tally;
    return h("li", { "data-key": `${one.source} ${one.id}` },
      h("strong", {}, `${moment(from)} to ${moment(to)}`), h("span", { class: "muted", title: utc(from) }, ` ${one.source}${one.dry_run ? ", compared only" : ""}: `),
      next >= to ? "done" : `under way, at ${moment(next)}`,
      `; ${number(tally.new)} new, ${number(tally.changed)} changed, ${number(tally.unchanged)} as before${tally.rejected ? `, ${number(tally.rejected)} rejected` : ""}.`);
  })));
}
