// Numbers with their units, and moments in the zone that was chosen (UTC on hover).

import { h } from "./dom.js";

const count = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const formats = new Map();
let zone = localStorage.getItem("zone") ?? "";

/** The chosen zone: "" is the browser's own. */
export const chosenZone = () => zone;

/** Takes another zone, and remembers it. */
export function chooseZone(name) {
  zone = name;
  formats.clear();
  localStorage.setItem("zone", name);
}

/** The browser's own zone. */
export const browserZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone ?? "local";

/** The zone that times are shown in. */
export const shownZone = () => zone || browserZone();

function format(kind, options, timeZone) {
  const key = kind + (timeZone ?? zone);
  if (!formats.has(key)) {
    const where = timeZone ?? (zone || undefined);
    let made;
    try {
      made = new Intl.DateTimeFormat("en-GB", { ...options, timeZone: where });
    } catch {
      made = new Intl.DateTimeFormat("en-GB", options);
    }
    formats.set(key, made);
  }
  return formats.get(key);
}

const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const CLOCK_S = { ...CLOCK, second: "2-digit" };
const DAY = { weekday: "short", day: "numeric", month: "short" };
const DATE = { year: "numeric", month: "2-digit", day: "2-digit" };

/** 1,234 */
export const number = (n) => (n === null || n === undefined ? "–" : count.format(n));

/** 12.5 % */
export const percent = (share) =>
  share === null || share === undefined || !Number.isFinite(share) ? "–" : `${tenth.format(share * 100)} %`;

/** "1 record", "2 records" */
export const many = (n, one, more) => `${number(n)} ${n === 1 ? one : (more ?? `${one}s`)}`;

/** 1.5 GiB */
export function bytes(n) {
  if (n === null || n === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) {
    n /= 1024;
    unit += 1;
  }
  return `${n >= 100 || unit === 0 ? count.format(n) : tenth.format(n)} ${units[unit]}`;
}

/** A span in its two largest units: 45 s, 3 min 20 s, 5 h 12 min, 4 d 3 h. */
export function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  const pair = (big, bigUnit, small, smallUnit) => `${big} ${bigUnit}${small ? ` ${small} ${smallUnit}` : ""}`;
  if (s < 3600) return pair(Math.floor(s / 60), "min", s % 60, "s");
  if (s < 86400) return pair(Math.floor(s / 3600), "h", Math.floor((s % 3600) / 60), "min");
  return pair(Math.floor(s / 86400), "d", Math.floor((s % 86400) / 3600), "h");
}

/** A call's length as a clock shows it: 4:05. */
export function clockSpan(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const s = Math.max(0, Math.round(seconds));
  const two = (n) => String(n).padStart(2, "0");
  const minutes = `${Math.floor(s / 60) % 60}:${two(s % 60)}`;
  return s < 3600 ? minutes : `${Math.floor(s / 3600)}:${minutes.padStart(5, "0")}`;
}

/** A moment of the API (RFC 3339), or milliseconds, as milliseconds. */
export const ms = (at) => (typeof at === "number" ? at : Date.parse(at));

/** 14:05 */
export const clock = (at) => format("clock", CLOCK).format(ms(at));

/** Fri, 27 Nov */
export const day = (at) => format("day", DAY).format(ms(at));

/** 2026-11-27 in the shown zone. */
export function isoDay(at) {
  const parts = Object.fromEntries(format("iso", DATE).formatToParts(ms(at)).map((p) => [p.type, p.value]));
  return `${parts.year}-${parts.month}-${parts.day}`;
}

/** Fri, 27 Nov, 14:05:09 */
export const moment = (at) => format("moment", { ...DAY, ...CLOCK_S }).format(ms(at));

/** 2026-11-27 14:05:09 UTC */
export const utc = (at) => `${new Date(ms(at)).toISOString().slice(0, 19).replace("T", " ")} UTC`;

/** A time element: today only the clock, else with the day; UTC on hover. */
export function time(at, now) {
  if (at === null || at === undefined) return h("span", { class: "muted" }, "never");
  const today = now !== undefined && isoDay(at) === isoDay(now);
  const text = today ? format("clock_s", CLOCK_S).format(ms(at)) : moment(at);
  return h("time", { datetime: new Date(ms(at)).toISOString(), title: utc(at) }, text);
}

/** "12 s ago", with the moment on hover. */
export function ago(at, now) {
  if (at === null || at === undefined) return h("span", { class: "muted" }, "never");
  const passed = (ms(now) - ms(at)) / 1000;
  const text = passed < 2 ? "just now" : `${span(passed)} ago`;
  return h("time", { datetime: new Date(ms(at)).toISOString(), title: `${moment(at)} (${utc(at)})` }, text);
}

/** The UTC moment (ms) at which a day of the shown zone begins. */
export function dayStart(iso) {
  const guess = Date.parse(`${iso}T00:00:00Z`);
  // Two steps settle it also where the offset changes that night.
  let at = guess - offsetMs(guess);
  at = guess - offsetMs(at);
  return at;
}

function offsetMs(at) {
  const options = { ...DATE, ...CLOCK_S };
  const parts = Object.fromEntries(format("offset", options).formatToParts(at).map((p) => [p.type, p.value]));
  const shown = Date.UTC(+parts.year, +parts.month - 1, +parts.day, +parts.hour, +parts.minute, +parts.second);
  return shown - Math.floor(at / 1000) * 1000;
}

/** The day after, or before, a day (by calendar). */
export function dayBeside(iso, days) {
  const at = new Date(Date.parse(`${iso}T12:00:00Z`) + days * 86_400_000);
  return at.toISOString().slice(0, 10);
}
