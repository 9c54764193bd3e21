// Keeps the picture of the box up to date: by asking every few seconds while somebody looks. Tells its listeners, and says when the box stopped answering.

import { ApiError, get } from "./api.js";

const ASK_EVERY_MS = 5_000;

const listeners = new Map();
let latest = null;
let heardAt = 0;
let lostAt = null;
let why = "";

/** The last picture, or null. */
export const status = () => latest;

/** Since when the box has been silent (ms), or null, and why. */
export const silence = () => (lostAt === null ? null : { since: lostAt, why });

/** The box's clock now: it runs on between two pictures. */
export const boxNow = () => (latest ? Date.parse(latest.at) + (performance.now() - heardAt) : Date.now());

/** Calls back at each event of this name: "status", "agents", "silence". Answers how to stop. */
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

function lost(reason) {
  if (lostAt !== null && why === reason) return;
  lostAt ??= Date.now();
  why = reason;
  tell("silence", silence());
}

/** Asks for the picture now. */
export async function refresh() {
  try {
    heard(await get("status"));
  } catch (error) {
    lost(error instanceof ApiError ? error.message : String(error));
  }
}

/** Starts, once. */
export function start() {
  void refresh();
  setInterval(() => {
    const quiet = performance.now() - heardAt;
    if (document.visibilityState === "visible" && quiet >= ASK_EVERY_MS / 2) void refresh();
  }, ASK_EVERY_MS);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") void refresh();
  });
}
