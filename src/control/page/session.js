// The login that changes need. It is asked for when a change is tried, not before.

import { ApiError, get, post } from "./api.js";
import { draw, h } from "./dom.js";
import { announce, field, notice } from "./parts.js";

let known = null;
const watchers = new Set();

/** Whether somebody is logged in; null while nobody asked. */
export const loggedIn = () => known?.logged_in ?? null;

/** Calls back when that changes. */
export const onLogin = (callback) => watchers.add(callback);

function take(session) {
  known = session;
  for (const callback of watchers) callback();
}

/** Asks the box who it takes us for. */
export async function ask() {
  try {
    take(await get("session"));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
  }
}

/** Where reading needs a login too: asks for it, and begins anew. */
export async function begin() {
  await ask();
  if (known?.reading_needs_login && !known.logged_in && (await login())) location.reload();
}

/** Makes a change; asks for the login first where it must, and tries again. Null: given up. */
export async function change(path, body, options) {
  try {
    return await post(path, body, options);
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401) throw error;
  }
  if (!(await login())) return null;
  return post(path, body, options);
}

/** Ends the session. */
export async function logout() {
  await post("logout");
  take({ ...known, logged_in: false });
  announce("Logged out");
}

/** Opens the dialog; true once logged in, false if it was closed. */
export function login() {
  const dialog = document.getElementById("login-dialog");
  return new Promise((resolve) => {
    let done = false;
    let problem = null;
    let busy = false;
    const redraw = () => draw(dialog, form({ problem, busy, submit, cancel: () => dialog.close() }));
    const submit = async (event) => {
      event.preventDefault();
      const input = dialog.querySelector("input");
      busy = true;
      redraw();
      problem = await tryToken(input.value.trim());
      busy = false;
      done = problem === null;
      if (done) dialog.close();
      else {
        redraw();
        input.select();
      }
    };
    dialog.replaceChildren();
    redraw();
    dialog.onclose = () => {
      dialog.replaceChildren();
      resolve(done);
    };
    dialog.showModal();
    dialog.querySelector("input").focus();
  });
}

async function tryToken(token) {
  if (!token) return "Paste the admin token.";
  try {
    await post("login", { token });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return error.message;
  }
  await ask();
  announce("Logged in");
  return null;
}

function form({ problem, busy, submit, cancel }) {
  const input = h("input", { type: "password", autocomplete: "current-password", spellcheck: "false", required: true });
  return h("form", { method: "dialog", onsubmit: submit, novalidate: true },
    h("h2", { id: "login-title" }, known?.reading_needs_login ? "Log in" : "Log in to change something"),
    known?.token_exists === false && notice("warning", "No admin token was made yet. On the box: ", h("code", {}, "thrio-edge admin-token")),
    field("token", "Admin token", input, "It was shown once at the installation. A new one: thrio-edge admin-token --new"),
    problem && notice("error", problem),
    h("div", { class: "actions" },
      h("button", { type: "submit", class: "primary", disabled: busy }, busy ? "Checking …" : "Log in"),
      h("button", { type: "button", onclick: cancel }, "Cancel")));
}
