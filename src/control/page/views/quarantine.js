// What a destination refused for good, with its reason: to be sent once more, or given up.

import { all } from "../api.js";
import { h } from "../dom.js";
import { many, number, time } from "../format.js";
import { boxNow, listen, refresh, status } from "../live.js";
import { announce, card, confirmed, empty, failure, notice, reading, table } from "../parts.js";
import { KINDS, fields, sentence } from "../records.js";
import { change } from "../session.js";

/** Opens the view. */
export function open(context) {
  const state = { said: null, busy: false };
  const redraw = () => context.draw(...page(refused, state, acts));
  const refused = reading(() => all("quarantine", {}, 5), redraw);
  const act = async (path, destination, seqs, words) => {
    state.busy = true;
    redraw();
    state.said = await send(path, { destination, seqs }, words);
    state.busy = false;
    await refused.read();
    await refresh();
  };
  const acts = {
    retry: (destination, seqs) => act("quarantine/retry", destination, seqs, "Sent once more"),
    discard: async (destination, seqs, count) => {
      const text = `${many(count, "record")} will not be delivered to ${destination}. This cannot be taken back.`;
      if (await confirmed("Give these up for good?", text, "Discard")) await act("quarantine/discard", destination, seqs, "Discarded");
    },
  };
  // The list is read anew until it has what the box counts: a record leaves it some moments after
  // it was sent once more.
  const forget = listen("status", (picture) => {
    const counted = picture.destinations.reduce((sum, destination) => sum + destination.quarantined, 0);
    const list = refused.value;
    if (list && !list.more && list.rows.length !== counted && !refused.busy && !state.busy) void refused.read();
  });
  redraw();
  void refused.read();
  return { redraw, leave: forget };
}

async function send(path, body, words) {
  try {
    const done = await change(path, body);
    if (done === null) return null;
    announce(words);
    return () => notice("ok", `${words}: `, h("code", {}, JSON.stringify(done)));
  } catch (error) {
    return () => failure(error);
  }
}

function page(refused, state, acts) {
  const rows = refused.value?.rows ?? [];
  const destinations = [...new Set(rows.map((row) => row.destination))];
  return [
    h("p", { class: "lead" }, "Records that a destination refused because of what is in them. They are kept until you decide; everything else flows on."),
    refused.error && failure(refused.error),
    state.said,
    refused.value === null && !refused.error && h("p", { class: "muted" }, "Reading the quarantine …"),
    refused.value && rows.length === 0 && card("Nothing is refused", {}, empty("No destination has refused a record.", "There is nothing to do here.")),
    destinations.map((destination) => group(destination, rows.filter((row) => row.destination === destination), state, acts)),
    refused.value?.more && h("p", { class: "muted" }, "There are more; these are the first."),
  ];
}

function group(destination, rows, state, acts) {
  const total = status()?.destinations.find((one) => one.name === destination)?.quarantined ?? rows.length;
  return card(destination, { "data-key": destination },
    h("div", { class: "actions" },
      h("button", { type: "button", class: "primary", disabled: state.busy, onclick: () => void acts.retry(destination, null) }, `Retry all ${number(total)}`),
      h("button", { type: "button", class: "danger", disabled: state.busy, onclick: () => void acts.discard(destination, null, total) }, "Discard all")),
    table(`Refused by ${destination}`, [
      { name: "Record", head: true, cell: (row) => [h("span", { class: "muted" }, `${number(row.seq)} `), KINDS[row.record.kind] ?? row.record.kind] },
      { name: "Reason", class: "text", cell: (row) => row.reason },
      { name: "What it says", class: "text", cell: (row) => h("details", {}, h("summary", {}, sentence(row.record)), fields(row.record)) },
      { name: "Refused", cell: (row) => time(row.at, boxNow()) },
      { name: "What to do", class: "do", cell: (row) => h("span", { class: "pair" },
        h("button", { type: "button", class: "quiet", disabled: state.busy, "aria-label": `Retry record ${row.seq}`, onclick: () => void acts.retry(destination, [row.seq]) }, "Retry"),
        h("button", { type: "button", class: "quiet danger", disabled: state.busy, "aria-label": `Discard record ${row.seq}`, onclick: () => void acts.discard(destination, [row.seq], 1) }, "Discard")) },
    ], rows, { key: (row) => String(row.seq) }));
}
