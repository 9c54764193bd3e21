// Is everything all right, in one sentence; then what to do; then each feed and destination.

import { h } from "../dom.js";
import { ago, bytes, many, number, percent, span, time, utc } from "../format.js";
import { judge, placeFor } from "../judgement.js";
import { boxNow, listen, refresh, status } from "../live.js";
import { announce, card, empty, failure, feedName, mark, meter, pill, table } from "../parts.js";
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
  const trial = { busy: false, said: null };
  const test = async () => {
    Object.assign(trial, { busy: true, said: null });
    redraw();
    try {
      const done = await change("alarms/test", {});
      trial.said = done && (() => tried(done));
      if (done) announce(done.ok ? "All arrived" : "Not all arrived");
    } catch (error) {
      trial.said = () => failure(error);
    }
    trial.busy = false;
    redraw();
  };
  const redraw = () => {
    const picture = status();
    if (picture) context.draw(...page(picture, boxNow(), { said, retry, trial, test }));
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

function page(picture, now, { said, retry, trial, test }) {
  return [
    verdict(picture),
    problems(picture, now, said, retry),
    card("Feeds", {}, feeds(picture, now)),
    card("Destinations", {}, destinations(picture, now)),
    card("The box", {}, facts(picture, now)),
    told(picture, now, trial, test),
    credentials(picture, now),
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
    ["Ends first", first(picture, now)],
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

/** From here on an end is marked; the alarms say when it is time. */
const SOON_S = 21 * 86_400;

/** What ends and is not renewed by the program itself. */
const ending = (picture) => (picture.expiries ?? []).filter((one) => one.until !== null && one.kind !== "session");

function first(picture, now) {
  const all = ending(picture);
  if (all.length === 0) return "no certificate or token with an end";
  const soonest = all.reduce((a, b) => (a.until <= b.until ? a : b));
  return [soonest.name, ": ", end(soonest, now)];
}

function end(one, now) {
  if (one.until === null) return one.error ?? h("span", { class: "muted" }, "does not say");
  const left = (Date.parse(one.until) - now) / 1000;
  const text = left > 0 ? `in ${span(left)}` : "has ended";
  const shown = h("time", { datetime: one.until, title: utc(one.until) }, text);
  if (one.kind === "session" || left > SOON_S) return shown;
  return pill(left > 0 ? "warning" : "error", shown);
}

/** Each certificate, token and password, folded: the alarms tell what needs somebody. */
function credentials(picture, now) {
  const all = picture.expiries ?? [];
  if (all.length === 0) return null;
  return card("Certificates and credentials", {}, h("details", {},
    h("summary", {}, `Show all ${number(all.length)}`),
    table("Certificates and credentials", [
      { name: "Whose", head: true, cell: (one) => one.name },
      { name: "What", cell: (one) => one.kind },
      { name: "Since", cell: (one) => (one.since ? time(one.since, now) : "–") },
      { name: "Ends", cell: (one) => end(one, now) },
      { name: "Where", class: "text", cell: (one) => one.place },
    ], all, { key: (one) => `${one.name} ${one.place}` })));
}

/** How people are told of what is wrong, and a way to try it. */
function told(picture, now, trial, test) {
  const { ways, heartbeat, heartbeat_error: heartbeatError } = picture.alarms ?? { ways: [] };
  const lines = ways.map((way) => [
    way.way,
    way.last_error ? pill("error", "fails") : way.last_told_at && pill("ok", "works"),
    [way.last_told_at ? ["last told ", ago(way.last_told_at, now)] : "nothing told yet", way.waiting > 0 && `, ${many(way.waiting, "change")} waiting`, way.last_error && h("p", { class: "problem" }, way.last_error)],
  ]);
  if (heartbeat) {
    lines.push(["heartbeat", heartbeatError ? pill("error", "fails") : pill("ok", "works"), heartbeatError ?? "called while no error stands"]);
  }
  if (lines.length === 0) {
    return card("Who is told", {}, empty("Nobody is told.", "Set a webhook, a command or a heartbeat under ", h("code", {}, "[alarm]"), " in the configuration file: then somebody hears of an alarm who does not look here."));
  }
  return card("Who is told", {},
    h("ul", { class: "plain" }, lines.map(([name, state, text]) => h("li", { "data-key": name }, h("strong", {}, name), " ", state, " ", text))),
    h("p", {}, h("button", { type: "button", class: "quiet", disabled: trial.busy, onclick: () => void test() }, trial.busy ? "Sending …" : "Send a test message")),
    trial.said);
}

/** What came of a test message. */
function tried(done) {
  return h("ul", { class: "plain" }, done.trials.map((one) =>
    h("li", {}, one.error ? pill("error", "failed") : pill("ok", "arrived"), ` ${one.way} (${one.to})`, one.error && h("p", { class: "problem" }, one.error))));
}

function configuration(loaded, now) {
  const when = loaded.loaded_at ? ["taken over ", time(loaded.loaded_at, now)] : "given at the start";
  return [loaded.file && h("code", {}, loaded.file), loaded.file && " ", when, loaded.reload_error && h("p", { class: "problem" }, loaded.reload_error)];
}
