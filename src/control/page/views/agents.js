// The live board: who does what, by category, and for how long; and the states that nobody has
// given a meaning yet.

import { all } from "../api.js";
import { h } from "../dom.js";
import { clockSpan, many, moment, number, span, time, utc } from "../format.js";
import { boxNow, listen, status, streaming } from "../live.js";
import { announce, card, choices, empty, failure, field, notice, pill, reading } from "../parts.js";
import { change } from "../session.js";

/** The order on the board, with what a person reads. */
const CATEGORIES = {
  AVAILABLE: "Available", BUSY: "Busy", WORKING: "Working", WRAPUP: "Wrap-up", NO_ANSWER: "No answer",
  AUX: "Aux", LOGGED_IN: "Logged in", UNMAPPED: "Unmapped", UNKNOWN: "Unknown", LOGGED_OUT: "Logged out",
};
const MEANINGS = ["AVAILABLE", "BUSY", "WORKING", "WRAPUP", "NO_ANSWER", "AUX", "LOGGED_IN", "LOGGED_OUT"];
/** Agents of a category that are listed at first: a board is looked at, not read. */
const LISTED = 40;
/** So many more with each wish, up to so many: a browser draws thousands of lines too slowly. */
const LISTED_MORE = 160;
const LISTED_MAX = 1_000;
const ASK_EVERY_MS = 10_000;
const READ_ANEW_MS = 60_000;

const keyOf = (agent) => `${agent.source}/${agent.agent_id}`;
const nameOf = (agent) => agent.display_name ?? agent.username ?? agent.agent_id;

/** Opens the view. */
export function open(context) {
  const agents = new Map();
  const board = { search: "", category: "", listed: new Map(), chosen: new Map(), mapped: new Map(), said: null, changes: 0 };
  let readAt = 0;
  const sort = sorter(agents, board);
  const redraw = () => context.draw(...page(sort(codes.value?.rows ?? []), { people, codes }, board, acts));
  const put = (agent) => agents.set(keyOf(agent), { ...agent, since_ms: Date.parse(agent.since), words: `${nameOf(agent)}\n${agent.agent_id}\n${agent.username ?? ""}\n${agent.state}`.toLowerCase() });
  const people = reading(async () => {
    const { rows, more } = await all("agents");
    agents.clear();
    rows.forEach(put);
    board.changes += 1;
    readAt = performance.now();
    return { more };
  }, redraw);
  const codes = reading(() => all("state-codes"), redraw);
  const readAll = () => Promise.all([people.read(), codes.read()]);
  const acts = {
    search: (text) => { board.search = text; redraw(); },
    pick: (category) => { board.category = board.category === category ? "" : category; redraw(); },
    showMore: (category) => { board.listed.set(category, (board.listed.get(category) ?? LISTED) + LISTED_MORE); redraw(); },
    choose: (code, category) => { board.chosen.set(`${code.source} ${code.state}`, category); redraw(); },
    map: async (code, category) => {
      const done = await map(code, category);
      if (done === null) return;
      board.said = done.said;
      if (done.mapped) board.mapped.set(`${code.source} ${code.state}`, category);
      board.changes += 1;
      await readAll();
    },
  };
  const take = (changes) => {
    if (changes.some((changed) => !agents.has(keyOf(changed)))) return void readAll();
    for (const changed of changes) put({ ...agents.get(keyOf(changed)), ...changed });
    board.changes += 1;
    redraw();
  };
  const forget = [listen("agents", take), listen("reload", () => void readAll())];
  const timer = setInterval(() => {
    if (document.visibilityState !== "visible") return;
    const age = performance.now() - readAt;
    if (!people.busy && age > (streaming() ? READ_ANEW_MS : ASK_EVERY_MS)) void readAll();
    else redraw();
  }, 1_000);
  redraw();
  void readAll();
  return {
    redraw,
    leave: () => {
      clearInterval(timer);
      for (const stop of forget) stop();
    },
  };
}

async function map(code, category) {
  try {
    const done = await change("state-mapping", { source: code.source, state: code.state, category });
    if (done === null) return null;
    announce(`${code.state} is ${CATEGORIES[category]} from now on`);
    return { mapped: true, said: () => notice("ok", h("strong", {}, code.state), ` is ${CATEGORIES[category]} from now on.`) };
  } catch (error) {
    return { mapped: false, said: () => failure(error) };
  }
}

/** An agent as it is to be shown: a state that was mapped after it began has its present meaning. */
function meant(agent, known, blind, board) {
  const is_stale = agent.is_stale || blind.has(agent.source);
  if (agent.category !== "UNMAPPED") return is_stale === agent.is_stale ? agent : { ...agent, is_stale };
  const id = `${agent.source} ${agent.state}`;
  const code = known.get(id);
  return { ...agent, category: board.mapped.get(id) ?? (code?.mapped ? code.category : "UNMAPPED"), is_stale };
}

/**
 * Who is in which category, the longest first. The clocks move each second; who is where is worked
 * out anew only where something of it changed: there may be 20,000 of them.
 */
function sorter(agents, board) {
  let sorted = null;
  let of = "";
  return (codes) => {
    const blind = blindSources();
    const now = [board.changes, board.search, board.category, codes.length, codes.filter((code) => code.mapped).length, [...blind.keys()]].join("\n");
    if (sorted !== null && of === now) return sorted;
    of = now;
    sorted = sortOut(agents, new Map(codes.map((code) => [`${code.source} ${code.state}`, code])), blind, board);
    return sorted;
  };
}

function sortOut(agents, known, blind, board) {
  const sorted = { total: 0, found: 0, counts: new Map(), columns: new Map(), states: new Map() };
  const wanted = board.search.trim().toLowerCase();
  const add = (map, key) => map.set(key, (map.get(key) ?? 0) + 1);
  for (const one of agents.values()) {
    const agent = meant(one, known, blind, board);
    if (!agent.is_active && agent.category === "LOGGED_OUT") continue;
    sorted.total += 1;
    add(sorted.counts, agent.category);
    add(sorted.states, `${agent.source} ${agent.state}`);
    if (board.category && agent.category !== board.category) continue;
    if (wanted && !agent.words.includes(wanted)) continue;
    sorted.found += 1;
    if (!sorted.columns.has(agent.category)) sorted.columns.set(agent.category, []);
    sorted.columns.get(agent.category).push(agent);
  }
  for (const column of sorted.columns.values()) column.sort((a, b) => a.since_ms - b.since_ms || (nameOf(a) < nameOf(b) ? -1 : 1));
  return sorted;
}

function page(sorted, { people, codes }, board, acts) {
  const unmapped = (codes.value?.rows ?? []).filter((code) => !code.mapped && !board.mapped.has(`${code.source} ${code.state}`));
  return [
    people.error && failure(people.error),
    staleness(),
    board.said,
    unmapped.length > 0 && meaningless(unmapped, sorted, board, acts),
    people.value === null && !people.error && h("p", { class: "muted" }, "Reading the agents …"),
    people.value !== null && sorted.total === 0 && card("Nobody yet", {}, empty("No agent has been seen.",
      "Agents appear with the first complete poll of the agent states. ", h("a", { href: "#/configuration" }, "Look at the connection"), ".")),
    sorted.total > 0 && filters(sorted, board, acts),
    sorted.total > 0 && columns(sorted, board, acts),
    people.value?.more && h("p", { class: "muted" }, "There are more agents than a board can show."),
  ];
}

/** Sources whose agents nobody sees, with the moment of the last complete poll. */
const blindSources = () => new Map((status()?.feeds ?? []).filter((feed) => feed.feed === "realtime" && feed.is_stale).map((feed) => [feed.source, feed.last_complete_poll_at]));

function staleness() {
  return [...blindSources()].map(([source, last]) => h("div", { "data-key": `stale ${source}` },
    notice("error", h("strong", {}, "Nobody sees the agents' states at present. "), `What is shown for ${source} was true at `, time(last, boxNow()),
      ". The span since is recorded as unknown. ", h("a", { href: "#/overview" }, "See why"), ".")));
}

function meaningless(codes, sorted, board, acts) {
  return card("States without a meaning", { class: "attention" },
    h("p", { class: "muted" }, "These texts came from Thrio and nobody has said what they mean. They travel on as UNMAPPED until you do."),
    h("ul", { class: "unmapped" }, codes.map((code) => unmappedLine(code, sorted, board, acts))));
}

function unmappedLine(code, sorted, board, acts) {
  const id = `${code.source} ${code.state}`;
  const now = sorted.states.get(id) ?? 0;
  const chosen = board.chosen.get(id) ?? "";
  const select = choices({ onchange: (event) => acts.choose(code, event.target.value), "aria-label": `What ${code.state} means` },
    [["", "means …"], ...MEANINGS.map((category) => [category, CATEGORIES[category]])], chosen);
  return h("li", { "data-key": id },
    h("span", { class: "unmapped-text" }, h("strong", {}, code.state), h("span", { class: "muted" }, ` ${code.source}, first seen `, time(code.first_seen, boxNow()), `, ${many(now, "agent")} in it now`)),
    h("span", { class: "unmapped-act" }, select, h("button", { type: "button", disabled: chosen === "", onclick: () => void acts.map(code, chosen) }, "Map")));
}

function filters(sorted, board, acts) {
  const counts = Object.keys(CATEGORIES).map((category) => [category, sorted.counts.get(category) ?? 0]);
  const search = h("input", { type: "search", value: board.search, oninput: (event) => acts.search(event.target.value), autocomplete: "off" });
  return h("div", { class: "toolbar", "data-key": "filters" },
    field("agent-search", "Search by name, id or state", search),
    h("div", { class: "chips", role: "group", "aria-label": "Only one category" }, counts.filter(([, count]) => count > 0).map(([category, count]) =>
      h("button", { type: "button", class: `chip ${category.toLowerCase()}`, "data-key": category, "aria-pressed": String(board.category === category), onclick: () => acts.pick(category) },
        h("i", { class: "dot", "aria-hidden": "true" }), CATEGORIES[category], " ", h("b", {}, number(count))))));
}

function columns(sorted, board, acts) {
  if (sorted.found === 0) return card("Nobody found", {}, empty("Nobody matches.", "Clear the search, or choose another category."));
  const working = Object.keys(CATEGORIES).filter((category) => category !== "LOGGED_OUT");
  const gone = sorted.columns.get("LOGGED_OUT") ?? [];
  const meant = board.category === "LOGGED_OUT" || board.search.trim() !== "";
  return [
    h("div", { class: "board" }, working.map((category) => {
      const here = sorted.columns.get(category);
      return here && column(category, here, board, acts);
    })),
    gone.length > 0 && h("details", { class: "card gone", open: meant, "data-key": `gone ${meant}` },
      h("summary", {}, `Logged out: ${number(gone.length)}`), h("div", { class: "board" }, column("LOGGED_OUT", gone, board, acts))),
  ];
}

function column(category, agents, board, acts) {
  const listed = Math.min(board.listed.get(category) ?? LISTED, LISTED_MAX);
  const shown = agents.slice(0, listed);
  const left = agents.length - shown.length;
  const id = `column-${category}`;
  return h("section", { class: `column ${category.toLowerCase()}`, "data-key": category, "aria-labelledby": id },
    h("h2", { id }, h("i", { class: "dot", "aria-hidden": "true" }), CATEGORIES[category], h("span", { class: "muted" }, ` ${number(agents.length)}`)),
    h("ul", {}, shown.map((agent) => person(agent, category))),
    left > 0 && listed < LISTED_MAX && h("button", { type: "button", class: "quiet", onclick: () => acts.showMore(category) }, `Show ${number(Math.min(left, LISTED_MORE))} more of ${number(left)}`),
    left > 0 && listed >= LISTED_MAX && h("p", { class: "muted" }, `And ${number(left)} more: search for them.`));
}

function person(agent, category) {
  const plain = agent.state.toLowerCase().replaceAll(/[\s_-]/g, "") === category.toLowerCase().replaceAll("_", "");
  const since = boxNow() - agent.since_ms;
  const atLeast = agent.origin === "resync";
  return h("li", { "data-key": keyOf(agent), class: agent.is_stale ? "stale" : null },
    h("span", { class: "who" }, nameOf(agent)),
    h("span", { class: "since", title: `since ${moment(agent.since)} (${utc(agent.since)})${atLeast ? "; at least: seen first after a span that nobody saw" : ""}` },
      atLeast && "≥ ", since > 36_000_000 ? span(since / 1000) : clockSpan(since / 1000)),
    h("span", { class: "what" }, !plain && agent.state, agent.is_stale && [" ", pill("error", "stale")]));
}
