// Is everything all right, in one sentence; then what to do; then each feed and destination.

import { h } from "../dom.js";
import { ago, bytes, many, number, percent, span, time } from "../format.js";
import { judge, placeFor } from "../judgement.js";
import { boxNow, listen, refresh, status } from "../live.js";
import { card, empty, failure, feedName, mark, meter, pill, table } from "../parts.js";
import { change } from "../session.js";

/** Problems of a destination that a new try may end. */
const RETRIED = new Set(["destination_held", "destination_failing"]);

/** Opens the view. */
export function open(context) {
  const said = new Map();
  const retry = async (name) => {
    said.set(name, await tryNow(name));
    await refresh();
  };
  const redraw = () => {
    const picture = status();
    if (picture) context.draw(...page(picture, boxNow(), said, retry));
    else context.draw(h("p", { class: "muted" }, "Asking the box …"));
  };
  const forget = listen("status", redraw);
  redraw();
  return { redraw, leave: forget };
}

/** Asks the destination at once, instead of at the end of its wait. */
async function tryNow(destination) {
  try {
    const done = await change("destinations/retry", { destination });
    return done && (() => h("p", { class: "muted" }, "Tried again."));
  } catch (error) {
    return () => failure(error);
  }
}

function page(picture, now, said, retry) {
  return [
    verdict(picture),
    problems(picture, now, said, retry),
    card("Feeds", {}, feeds(picture, now)),
    card("Destinations", {}, destinations(picture, now)),
    card("The box", {}, facts(picture, now)),
  ];
}

function verdict(picture) {
  const judged = judge(picture);
  return h("div", { class: `verdict ${judged.level}` }, mark(judged.level, 44),
    h("div", {}, h("p", { class: "verdict-title" }, judged.title), judged.text && h("p", {}, judged.text),
      judged.level === "setup" && h("p", {}, h("a", { class: "button primary", href: "#/configuration" }, "Set up the source"))));
}

function problems(picture, now, said, retry) {
  if (picture.problems.length === 0) return null;
  return h("section", { "aria-labelledby": "problems" }, h("h2", { id: "problems", class: "unseen" }, "What to do"),
    h("ul", { class: "problems" }, picture.problems.map((problem) => item(problem, now, said, retry))));
}

function item(problem, now, said, retry) {
  const place = placeFor(problem);
  return h("li", { class: `problem-card ${problem.severity}`, "data-key": `${problem.code} ${problem.subject}` },
    mark(problem.severity),
    h("div", {},
      h("p", { class: "problem-head" }, h("strong", {}, problem.subject),
        h("span", { class: "muted" }, ` ${problem.severity}`, problem.since ? [", since ", time(problem.since, now)] : null)),
      h("p", {}, problem.message),
      problem.at_risk && h("p", {}, h("span", { class: "muted" }, "At risk: "), problem.at_risk),
      h("p", { class: "remedy" }, h("span", { class: "muted" }, "What to do: "), problem.remedy),
      place && h("p", {}, h("a", { href: place[0] }, place[1])),
      RETRIED.has(problem.code) && h("p", {}, h("button", { type: "button", class: "quiet", onclick: () => void retry(problem.subject) }, "Try now"), " ", said.get(problem.subject))));
}

function feedLevel(feed) {
  if (feed.held || feed.is_stale) return "error";
  if (feed.last_error || feed.consecutive_failures > 0) return "warning";
  return feed.last_success_at ? "ok" : "idle";
}

function feeds(picture, now) {
  if (picture.feeds.length === 0) {
    return empty("No source yet.", "A source is one Thrio tenant. ", h("a", { href: "#/configuration" }, "Set it up on the page"), ", or in the configuration file.");
  }
  const several = new Set(picture.feeds.map((feed) => feed.source)).size > 1;
  return table("Feeds", [
    { name: "Feed", head: true, cell: (feed) => [mark(feedLevel(feed), 16), " ", feedName(feed.feed), several && h("span", { class: "muted" }, ` ${feed.source}`)] },
    { name: "State", cell: (feed) => (feed.held ? pill("error", "held") : feed.is_stale ? pill("error", "blind") : feed.phase) },
    { name: "Last success", cell: (feed) => ago(feed.last_success_at, now) },
    { name: "Behind", class: "number", cell: (feed) => (feed.lag_s > 0 ? span(feed.lag_s) : "–") },
    { name: "Next", class: "number", cell: (feed) => (feed.next_in_s === null ? "–" : `in ${span(feed.next_in_s)}`) },
    { name: "Rows read", class: "number", cell: (feed) => number(feed.counts.rows_received) },
    { name: "Last error", class: "text", cell: (feed) => feed.held ?? feed.last_error ?? h("span", { class: "muted" }, "none") },
  ], picture.feeds, { key: (feed) => `${feed.source}/${feed.feed}` });
}

function destinationLevel(destination) {
  if (destination.held || destination.quarantined > 0) return "error";
  if (destination.last_error || destination.phase === "paused") return "warning";
  return "ok";
}

function destinations(picture, now) {
  if (picture.destinations.length === 0) {
    return empty("No destination yet.", "Records are kept in the journal. Add a [[destination]] to the configuration file, then run ", h("code", {}, "thrio-edge reload --wait"), ".");
  }
  const late = (destination) => {
    const age = destination.oldest_unsent_age_s;
    return destination.backlog === 0 || age === null ? "–" : span(age);
  };
  return table("Destinations", [
    { name: "Destination", head: true, cell: (d) => [mark(destinationLevel(d), 16), " ", d.name, h("span", { class: "muted" }, ` ${d.kind}`)] },
    { name: "State", cell: (d) => (d.held ? pill("error", "held") : d.phase) },
    { name: "Last success", cell: (d) => (d.last_success_s_ago === null ? h("span", { class: "muted" }, "not yet") : ago(now - d.last_success_s_ago * 1000, now)) },
    { name: "Waiting", class: "number", cell: (d) => many(d.backlog, "record") },
    { name: "Oldest", class: "number", cell: late },
    { name: "Caught up in", class: "number", cell: (d) => caughtUp(d) },
    { name: "Delivered", class: "number", cell: (d) => number(d.acknowledged - d.filtered) },
    { name: "Last error", class: "text", cell: (d) => d.held ?? d.last_error ?? h("span", { class: "muted" }, "none") },
  ], picture.destinations, { key: (d) => d.name });
}

/** How long until everything is delivered, at the present rate. */
function caughtUp(destination) {
  const left = destination.time_left_s;
  if (destination.backlog === 0) return "–";
  if (left === null || left === undefined) return destination.trend ?? "–";
  return h("span", { title: "at the rate of the last minute" }, span(left));
}

function facts(picture, now) {
  const store = picture.store;
  const rows = [
    ["Clock against Thrio", clocks(picture)],
    ["Journal", disk(store)],
    ["Free on its disk", store.free_bytes === null ? "–" : bytes(store.free_bytes)],
    ["Records", `${number(store.last_seq)} journaled, the oldest kept is number ${number(store.first_seq)}`],
    ...(picture.credentials ?? []).map((credential) => [credential.name, expiry(credential, now)]),
    ["Running", [`version ${picture.version}, since `, time(picture.started_at, now)]],
    ["Configuration", configuration(picture.configuration, now)],
  ];
  return h("dl", { class: "facts" }, rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

function clocks(picture) {
  const offsets = picture.feeds.map((feed) => feed.clock_offset_ms).filter((offset) => offset !== null);
  if (offsets.length === 0) return "not compared yet";
  const worst = offsets.reduce((a, b) => (Math.abs(a) >= Math.abs(b) ? a : b));
  const seconds = Math.abs(worst) / 1000;
  const text = seconds < 0.05 ? "the same" : `${seconds.toFixed(1)} s ${worst > 0 ? "behind" : "ahead"}`;
  return Math.abs(worst) > 2_000 ? pill("warning", text) : text;
}

function disk(store) {
  if (store.allocated_bytes === null || store.max_bytes === 0) return "–";
  const share = store.allocated_bytes / store.max_bytes;
  const text = `${bytes(store.allocated_bytes)} of ${bytes(store.max_bytes)} (${percent(share)})`;
  const level = store.pressure === "full" ? "error" : store.pressure === "half" ? "warning" : "ok";
  return [text, meter(share, `Disk budget used: ${text}`, level)];
}

function expiry(credential, now) {
  if (!credential.expires_at) return "does not say when it ends";
  const left = (Date.parse(credential.expires_at) - now) / 1000;
  const text = left > 0 ? `ends in ${span(left)}` : "has ended";
  return left < 14 * 86_400 ? pill(left > 0 ? "warning" : "error", text) : text;
}

function configuration(loaded, now) {
  const when = loaded.loaded_at ? ["taken over ", time(loaded.loaded_at, now)] : "given at the start";
  return [loaded.file && h("code", {}, loaded.file), loaded.file && " ", when, loaded.reload_error && h("p", { class: "problem" }, loaded.reload_error)];
}
