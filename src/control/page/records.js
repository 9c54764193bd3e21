// A record of the journal, for a person: a sentence, and every field as it is stored.

import { h } from "./dom.js";
import { clockSpan, moment, number, utc } from "./format.js";
import { FEEDS } from "./parts.js";

/** What a kind of record is called. */
export const KINDS = {
  interval: "Contact volume", transaction: "State transaction", agent: "Agent", queue: "Queue", coverage: "Coverage", state_code: "State code",
};

// The journal writes moments as numbers: these in milliseconds, an interval's start in seconds.
const MOMENTS = ["started_at", "observed_at", "earliest_at", "answered_at", "valid_from", "first_seen", "fetched_at", "final_at"];
const momentOf = (name, value) => (name === "interval_start" ? value * 1000 : MOMENTS.includes(name) ? value : null);

const SENTENCES = {
  interval: (r) => `${r.queue}, ${moment(r.interval_start * 1000)}: ${said(r.figures)}; revision ${r.revision}, ${r.reason}`,
  transaction: (r) => `${r.agent} is ${r.state} since ${moment(r.started_at)}${r.previous_state ? `, was ${r.previous_state}` : ""} (${r.origin})`,
  agent: (r) => `${r.details?.display_name ?? r.details?.name ?? r.agent}: ${r.change}`,
  queue: (r) => `${r.details?.name ?? r.queue}: ${r.change}`,
  coverage: (r) => `${FEEDS[r.feed] ?? r.feed}, ${moment(r.interval_start * 1000)}: ${r.status.replaceAll("_", " ")}`,
  state_code: (r) => `${r.state} means ${r.category}${r.mapped ? "" : ", mapped by nobody"}`,
};

function said(figures) {
  const { entered, abandoned, handle_time_s: handled } = figures ?? {};
  return `${number(entered)} entered, ${number(abandoned)} abandoned, handle time ${clockSpan(handled)}`;
}

/** The record in a sentence. */
export function sentence(record) {
  return SENTENCES[record.kind]?.(record) ?? record.kind;
}

/** Every field as it is stored, moments made readable beside. */
export function fields(record) {
  const entries = Object.entries(record).filter(([name]) => name !== "seq" && name !== "kind");
  return h("dl", { class: "record" }, entries.map(([name, value]) => {
    const at = value === null ? null : momentOf(name, value);
    const text = typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
    return h("div", {}, h("dt", {}, name), h("dd", {}, h("code", {}, text), at !== null && h("span", { class: "muted", title: utc(at) }, ` ${moment(at)}`)));
  }));
}
