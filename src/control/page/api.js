// Asks the box. An answer is JSON; anything else is an ApiError that says what a person can do.

const BASE = "/api/v1/";

/** Why a question was not answered. */
export class ApiError extends Error {
  /** @param {number} status 0 where the box did not answer at all */
  constructor(status, message, detail) {
    super(message);
    this.status = status;
    this.detail = detail ?? {};
  }
}

/** The address of an endpoint, with its parameters; those without a value are left out. */
export function address(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, value);
  }
  const text = query.toString();
  return BASE + path + (text ? `?${text}` : "");
}

/** Reads. */
export const get = (path, parameters, options) => call("GET", address(path, parameters), undefined, options);

/** Changes; needs the login. */
export const post = (path, body, options) => call("POST", address(path), body ?? {}, options);

/** All rows of a list that comes in pages, `pagesMax` of them at most; `more` says that there are others. */
export async function all(path, parameters = {}, pagesMax = 30) {
  const found = { rows: [], more: false };
  let after = null;
  for (let page = 0; page < pagesMax; page += 1) {
    const answer = await get(path, { ...parameters, after });
    found.rows.push(...answer.rows);
    after = answer.next;
    if (after === null) return { ...answer, ...found };
  }
  return { ...found, more: true };
}

async function call(method, url, body, { signal } = {}) {
  const request = { method, signal, credentials: "same-origin", cache: "no-store", headers: { accept: "application/json" } };
  if (body !== undefined) {
    request.body = JSON.stringify(body);
    request.headers["content-type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(url, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The box does not answer. Is the service running, and does the tunnel stand?");
  }
  return understand(response);
}

async function understand(response) {
  const text = await response.text();
  let value = null;
  try {
    value = text ? JSON.parse(text) : null;
  } catch {
    if (response.ok) throw new ApiError(response.status, "The box answered with something that is no JSON.");
  }
  if (response.ok) return value;
  throw new ApiError(response.status, said(value) ?? (text.trim().slice(0, 200) || `the box answered ${response.status}`), value);
}

const said = (value) => (typeof value?.message === "string" ? value.message : null);
