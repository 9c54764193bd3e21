// The frame: which view is shown, the state of the box beside its name, and the chosen zone.

import { ApiError, get } from "./api.js";
import { draw, h } from "./dom.js";
import { browserZone, chooseZone, chosenZone, clock } from "./format.js";
import { judge } from "./judgement.js";
import * as live from "./live.js";
import { announce, mark } from "./parts.js";
import * as session from "./session.js";

const VIEWS = {
  overview: "Overview",
  agents: "Agents",
  volume: "Volume",
  coverage: "Coverage",
  configuration: "Configuration",
  quarantine: "Quarantine",
  journal: "Journal",
};

const main = document.getElementById("main");
const nav = document.getElementById("nav");
const menu = document.getElementById("menu");
let siteZones = [];
let shown = null;
let turn = 0;

function asked() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  return { name: path in VIEWS ? path : "overview", parameters: new URLSearchParams(query ?? "") };
}

/** The address of a view with its parameters; those without a value are left out. */
function addressOf(name, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const query = new URLSearchParams(given).toString();
  return `#/${name}${query ? `?${query}` : ""}`;
}

async function show() {
  if (location.hash === "#main") {
    main.focus();
    return;
  }
  const { name, parameters } = asked();
  if (shown?.name === name) {
    shown.view.turn?.(parameters);
    return;
  }
  const mine = ++turn;
  const first = shown === null;
  const module = await import(`/page/views/${name}.js`);
  if (mine !== turn) return;
  shown?.view.leave?.();
  const place = h("div", { class: `view ${name}` });
  const context = {
    parameters,
    place,
    goTo: (changed) => { location.hash = addressOf(name, changed); },
    draw: (...children) => {
      if (mine === turn) draw(place, h("h1", {}, VIEWS[name]), ...children);
    },
  };
  shown = { name, view: {} };
  main.replaceChildren(place);
  shown.view = module.open(context) ?? {};
  markCurrent(name);
  document.title = `${VIEWS[name]} · ${live.status()?.box_id ?? "thrio-edge"}`;
  closeMenu();
  if (!first) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
    announce(VIEWS[name]);
  }
}

function markCurrent(name) {
  for (const link of nav.querySelectorAll("a")) {
    if (link.getAttribute("href") === `#/${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function closeMenu() {
  nav.classList.remove("open");
  menu.setAttribute("aria-expanded", "false");
}

function showHealth(status) {
  const judged = judge(status);
  const place = document.getElementById("health");
  place.hidden = false;
  place.className = `health ${judged.level}`;
  draw(place, mark(judged.level, 18), h("span", {}, judged.title));
  document.getElementById("box").textContent = status.box_id;
  document.title = `${judged.level === "error" ? "⚠ " : ""}${VIEWS[shown?.name ?? "overview"]} · ${status.box_id}`;
  const refused = status.destinations.reduce((sum, destination) => sum + destination.quarantined, 0);
  const badge = document.getElementById("quarantined");
  badge.hidden = refused === 0;
  badge.textContent = String(refused);
}

function showSilence(silence) {
  const place = document.getElementById("cut-off");
  place.hidden = silence === null;
  place.textContent = silence === null ? "" : silence.locked ? "This box is read after a login only." : `Nothing heard since ${clock(silence.since)}: ${silence.why}`;
  place.classList.toggle("locked", silence?.locked ?? false);
  document.body.classList.toggle("silent", silence !== null);
  if (silence === null) return;
  const [level, words] = silence.locked ? ["warning", "Not logged in"] : ["error", "No answer"];
  // What was well when it was last heard of may not be so now.
  const health = document.getElementById("health");
  health.hidden = false;
  health.className = `health ${level}`;
  draw(health, mark(level, 18), h("span", {}, words));
}

function offerZones() {
  const select = document.getElementById("zone");
  const zones = new Map([["", `Browser (${browserZone()})`], ["UTC", "UTC"]]);
  for (const [name, zone] of siteZones) zones.set(zone, `${name} (${zone})`);
  if (chosenZone() && !zones.has(chosenZone())) zones.set(chosenZone(), chosenZone());
  draw(select, [...zones].map(([value, words]) => h("option", { value, selected: value === chosenZone() }, words)));
  select.onchange = () => {
    chooseZone(select.value);
    shown?.view.turn?.(asked().parameters);
    shown?.view.redraw?.();
  };
}

/** The zones of the sources' sites. */
async function learnZones() {
  try {
    const { rows } = await get("sources");
    siteZones = rows.map((row) => [row.name, row.settings.time_zone]).filter(([, zone]) => zone && zone !== "UTC");
    offerZones();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
  }
}

function offerLogin() {
  const button = document.getElementById("login");
  const state = session.loggedIn();
  button.hidden = state === null;
  button.textContent = state ? "Log out" : "Log in";
  button.onclick = () => void (state ? session.logout() : session.login());
}

menu.onclick = () => {
  const open = nav.classList.toggle("open");
  menu.setAttribute("aria-expanded", String(open));
};
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && nav.classList.contains("open")) {
    closeMenu();
    menu.focus();
  }
});
addEventListener("hashchange", () => void show());
session.onLogin(() => {
  offerLogin();
  shown?.view.redraw?.();
});
live.listen("status", showHealth);
live.listen("silence", showSilence);
offerZones();
live.start();
void session.begin();
void learnZones();
void show();
