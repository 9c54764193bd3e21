// The last records as they were stored, newest first.

import { get } from "../api.js";
import { h } from "../dom.js";
import { number } from "../format.js";
import { listen } from "../live.js";
import { card, choices, empty, failure, field, notice, reading, table } from "../parts.js";
import { KINDS, fields, sentence } from "../records.js";

const PAGE = 50;

/** Opens the view. */
export function open(context) {
  let asked = parametersOf(context.parameters);
  const redraw = () => context.draw(...page(run, asked, acts));
  const run = reading((from) => get("journal", { from_seq: from, limit: PAGE }), redraw);
  const read = () => run.read(asked.from);
  const acts = {
    at: (from) => context.goTo({ from: from && Math.max(1, from), kind: asked.kind }),
    kind: (kind) => context.goTo({ from: asked.from, kind }),
    again: () => void read(),
  };
  // At the end of the journal new records come by themselves.
  const forget = listen("status", (picture) => {
    if (!asked.from && run.value && picture.store.last_seq > run.value.last_seq && !run.busy) void read();
  });
  redraw();
  void read();
  return {
    redraw,
    turn: (parameters) => {
      const before = asked.from;
      asked = parametersOf(parameters);
      if (asked.from === before) redraw();
      else void read();
    },
    leave: forget,
  };
}

function parametersOf(parameters) {
  return { from: Number(parameters.get("from")) || null, kind: parameters.get("kind") ?? "" };
}

function page(run, asked, acts) {
  const value = run.value;
  if (value === null) return [run.error ? failure(run.error) : h("p", { class: "muted" }, "Reading the journal …")];
  if (value.last_seq === 0) {
    return [card("Nothing yet", {}, empty("The journal is empty.", "Records appear with the first answers of a source. ", h("a", { href: "#/configuration" }, "Look at the configuration"), "."))];
  }
  const rows = value.rows.filter((row) => !asked.kind || row.kind === asked.kind).reverse();
  return [
    run.error && failure(run.error),
    toolbar(value, asked, acts),
    [...value.expired, ...value.damaged].length > 0 && notice("warning", gaps(value)),
    card("Records", {}, rows.length === 0 ? empty("None of this kind among these.", "Go to older records, or choose another kind.") : list(rows)),
  ];
}

function toolbar(value, asked, acts) {
  const first = value.rows[0]?.seq ?? value.next_seq;
  const last = value.rows.at(-1)?.seq ?? first;
  return h("div", { class: "toolbar", "data-key": "filters" },
    field("kind", "Kind", choices({ onchange: (event) => acts.kind(event.target.value) }, [["", "every kind"], ...Object.entries(KINDS)], asked.kind)),
    h("div", { class: "pair" },
      h("button", { type: "button", disabled: first <= value.first_seq, onclick: () => acts.at(first - PAGE) }, "‹ Older"),
      h("button", { type: "button", disabled: last >= value.last_seq, onclick: () => acts.at(last + 1) }, "Newer ›"),
      h("button", { type: "button", disabled: asked.from === null, onclick: () => acts.at(null) }, "Last")),
    h("p", { class: "muted" }, `${number(first)} to ${number(last)} of ${number(value.last_seq)}${asked.from === null ? ", kept up to date" : ""}`));
}

function gaps(value) {
  const words = (ranges, what) => ranges.map((range) => `${number(range.first)} to ${number(range.last)} ${what}`);
  return [...words(value.expired, "are no longer kept"), ...words(value.damaged, "cannot be read")].join("; ");
}

function list(rows) {
  return table("Records of the journal, newest first", [
    { name: "Number", head: true, cell: (row) => number(row.seq) },
    { name: "Kind", class: "kind", cell: (row) => KINDS[row.kind] ?? row.kind },
    { name: "Source", cell: (row) => row.source },
    { name: "As it was stored", class: "text", cell: (row) => h("details", {}, h("summary", {}, sentence(row)), fields(row)) },
  ], rows, { key: (row) => String(row.seq) });
}
