// Keeps the picture of the box up to date: by server-sent events, and by asking where those do
// not come. Tells its listeners, and says when the box stopped answering.

import { ApiError, address, get } from "./api.js";

const ASK_EVERY_MS = 5_000;
const SILENT_AFTER_MS = 20_000;

const listeners = new Map();
let latest = null;
let heardAt = 0;
let lostAt = null;
let why = "";
let locked = false;
let events = null;

/** The last picture, or null. */
export const status = () => latest;

/** Since when the box has been silent (ms), or null, why, and whether it only wants a login. */
export const silence = () => (lostAt === null ? null : { since: lostAt, why, locked });

/** The box's clock now: it runs on between two pictures. */
export const boxNow = () => (latest ? Date.parse(latest.at) + (performance.now() - heardAt) : Date.now());

/** Whether changes come by themselves at present. */
export const streaming = () => events?.readyState === EventSource.OPEN;

/** Calls back at each event of this name: "status", "agents", "reload", "silence". Answers how to stop. */
export function listen(name, callback) {
  if (!listeners.has(name)) listeners.set(name, new Set());
  listeners.get(name).add(callback);
  return () => listeners.get(name).delete(callback);
}

function tell(name, value) {
  for (const callback of listeners.get(name) ?? []) callback(value);
}

function heard(picture) {
  latest = picture;
  heardAt = performance.now();
  const back = lostAt !== null;
  lostAt = null;
  if (back) tell("silence", null);
  tell("status", picture);
}

function lost(reason, wantsLogin) {
  if (lostAt !== null && why === reason) return;
  lostAt ??= Date.now();
  why = reason;
  locked = wantsLogin;
  tell("silence", silence());
}

/** Asks for the picture now. */
export async function refresh() {
  try {
    heard(await get("status"));
  } catch (error) {
    lost(error instanceof ApiError ? error.message : String(error), error.status === 401);
  }
}

/** Starts, once. */
export function start() {
  void refresh();
  subscribe();
  setInterval(() => {
    const quiet = performance.now() - heardAt;
    if (document.visibilityState === "visible" && (!streaming() || quiet > SILENT_AFTER_MS)) void refresh();
  }, ASK_EVERY_MS);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") void refresh();
  });
}

function subscribe() {
  events = new EventSource(address("events"));
  events.addEventListener("status", (event) => heard(JSON.parse(event.data)));
  events.addEventListener("agents", (event) => tell("agents", JSON.parse(event.data).rows));
  events.addEventListener("reload", () => tell("reload", null));
  // The browser connects again by itself, but for an answer that is no stream: then asking serves.
}
