// The pieces that views are made of.

import { h, s } from "./dom.js";

const MARKS = {
  ok: "M5 12.5l4.5 4.5L19 7.5",
  warning: "M12 7v6M12 16.6v.4",
  error: "M8 8l8 8M16 8l-8 8",
  setup: "M12 6v12M6 12h12",
  idle: "M7 12h10",
};

/** A round mark: its shape says what its colour says. */
export function mark(level, size = 20) {
  return s("svg", { class: `mark ${level}`, viewBox: "0 0 24 24", width: size, height: size, "aria-hidden": "true" },
    s("circle", { cx: 12, cy: 12, r: 11 }), s("path", { d: MARKS[level] ?? MARKS.idle }));
}

/** A word in a coloured pill. */
export const pill = (level, ...words) => h("span", { class: `pill ${level}` }, ...words);

/** A boxed message. */
export const notice = (level, ...words) => h("div", { class: `notice ${level}` }, mark(level, 18), h("div", {}, ...words));

/** A card with a heading. */
export function card(title, attributes, ...children) {
  const id = `card-${title.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-")}`;
  return h("section", { ...attributes, class: `card ${attributes?.class ?? ""}`, "aria-labelledby": id },
    h("h2", { id }, title), ...children);
}

/** Says that there is nothing, and what to do next. */
export const empty = (title, ...next) => h("div", { class: "empty" }, h("p", { class: "empty-title" }, title), h("p", {}, ...next));

/** A share as a bar; `text` says it for those who do not see it. */
export function meter(share, text, level = "ok") {
  const width = Math.round(Math.min(1, Math.max(0, share)) * 1000) / 10;
  return s("svg", { class: `meter ${level}`, viewBox: "0 0 100 6", preserveAspectRatio: "none", role: "img", "aria-label": text },
    s("rect", { class: "meter-all", width: 100, height: 6 }), s("rect", { class: "meter-part", width, height: 6 }));
}

/**
 * A table that becomes a list of cards on a phone. Columns: {name, class, cell(row), head?}; the
 * column with `head` names its row.
 */
export function table(caption, columns, rows, options = {}) {
  const line = (row, at) => h("tr", { "data-key": options.key?.(row) ?? null, class: options.rowClass?.(row) },
    columns.map((column) => {
      const attributes = { class: column.class, "data-name": column.name };
      return column.head ? h("th", { ...attributes, scope: "row" }, column.cell(row, at)) : h("td", attributes, column.cell(row, at));
    }));
  return h("div", { class: `table-frame ${options.wide ? "wide" : "stack"}`, role: options.wide ? "region" : null, tabindex: options.wide ? 0 : null, "aria-label": options.wide ? caption : null },
    h("table", {}, h("caption", { class: "unseen" }, caption),
      h("thead", {}, h("tr", {}, columns.map((column) => h("th", { scope: "col", class: column.class }, column.name)))),
      h("tbody", {}, rows.map(line))));
}

/** A labelled field. `control` gets its id and the description's. */
export function field(id, label, control, hint, problem) {
  control.id = id;
  const notes = [];
  if (hint) notes.push(`${id}-hint`);
  if (problem) {
    notes.push(`${id}-problem`);
    control.setAttribute("aria-invalid", "true");
  }
  if (notes.length > 0) control.setAttribute("aria-describedby", notes.join(" "));
  return h("div", { class: `field ${problem ? "invalid" : ""}` },
    h("label", { for: id }, label), control,
    hint && h("p", { class: "hint", id: `${id}-hint` }, hint),
    problem && h("p", { class: "problem", id: `${id}-problem` }, problem));
}

/** A list of choices: [[value, words]]. */
export const choices = (attributes, options, chosen) => h("select", attributes,
  options.map(([value, words]) => h("option", { value, selected: value === chosen }, words)));

/** Tells a screen reader, once. */
export function announce(text) {
  const place = document.getElementById("announce");
  place.textContent = "";
  requestAnimationFrame(() => { place.textContent = text; });
}

/** What a person reads of a feed's name. */
export const FEEDS = { realtime: "Agent states", historical: "Contact volume", configuration: "Queues and agents" };
export const feedName = (feed) => FEEDS[feed] ?? feed;

/** What went wrong, for a person; a mistake of the page itself also for whoever mends it. */
export function failure(error) {
  if (!("status" in error)) console.error(error);
  return notice("error", error.message);
}

/** Asks once more before something that cannot be taken back; true if it is meant. */
export function confirmed(title, text, words) {
  const dialog = h("dialog", { class: "dialog", "aria-labelledby": "confirm-title" },
    h("form", { method: "dialog" },
      h("h2", { id: "confirm-title" }, title), h("p", {}, text),
      h("div", { class: "actions" },
        h("button", { value: "yes", class: "danger" }, words), h("button", { value: "no" }, "Cancel"))));
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    };
  });
}

/** A reading that is repeated: the last answer stays on show while the next one is asked for. */
export function reading(ask, redraw) {
  const state = { value: null, error: null, busy: false };
  let turn = 0;
  state.read = async (...parameters) => {
    const mine = ++turn;
    state.busy = true;
    try {
      const value = await ask(...parameters);
      if (mine !== turn) return;
      Object.assign(state, { value, error: null, busy: false });
    } catch (error) {
      if (mine !== turn) return;
      Object.assign(state, { error, busy: false });
    }
    redraw();
  };
  return state;
}
