// From a picture of the box to what a person wants to hear first: whether all is well, and if not,
// what to do. Pure, so that the sentence and the mark in every view's header cannot differ.

import { many, span } from "./format.js";

/** {level: "ok" | "warning" | "error" | "setup", title, text} */
export function judge(status) {
  const errors = status.problems.filter((problem) => problem.severity === "error");
  const warnings = status.problems.length - errors.length;
  if (errors.length > 0) return inTrouble(status, errors, warnings);
  if (!status.ready) return { level: "error", title: "The box is not ready.", text: lateWorkers(status) };
  if (status.feeds.length === 0) {
    return {
      level: "setup",
      title: "Nothing is collected yet.",
      text: "This box has no source. Enter the two connections, and it starts at once.",
    };
  }
  if (warnings > 0) {
    return { level: "warning", title: `It works, with ${many(warnings, "remark")}.`, text: delivered(status) };
  }
  return { level: "ok", title: "All is well.", text: delivered(status) };
}

function inTrouble(status, errors, warnings) {
  const beside = warnings > 0 ? `, and ${many(warnings, "remark")}` : "";
  const title = errors.length === 1 ? "One thing needs you" : `${errors.length} things need you`;
  return { level: "error", title: `${title}${beside}.`, text: delivered(status) };
}

function lateWorkers(status) {
  const late = status.workers.filter((worker) => !worker.in_time).map((worker) => worker.name);
  return late.length > 0 ? `Late: ${late.join(", ")}.` : status.store.error ?? "";
}

/** What has become of the data, in a sentence. */
function delivered(status) {
  const feeds = many(status.feeds.length, "feed");
  if (status.destinations.length === 0) {
    return `${feeds} collected into the journal. There is no destination yet: nothing leaves the box.`;
  }
  const worst = status.destinations.reduce((a, b) => (a.backlog >= b.backlog ? a : b));
  if (worst.backlog === 0) {
    return `${feeds} collected; everything is delivered to ${many(status.destinations.length, "destination")}.`;
  }
  const age = worst.oldest_unsent_age_s;
  const behind = age ? `, the oldest for ${span(age)}` : "";
  const lost = status.destinations.some((destination) => destination.expired + destination.damaged > 0);
  return `${feeds} collected; ${many(worst.backlog, "record")} wait for ${worst.name}${behind}.${lost ? "" : " Nothing is lost."}`;
}

const WHERE = {
  quarantine: ["#/quarantine", "Open the quarantine"],
  states_unmapped: ["#/agents", "Map them"],
  gaps: ["#/coverage", "See which"],
  gaps_given_up: ["#/coverage", "Ask again"],
  feed_held: ["#/configuration", "Check the connection"],
  snapshot_unknown: ["#/configuration", "Test the connection"],
  import_held: ["#/configuration", "Preview the import"],
};

/** Where a problem can be dealt with on the page: [address, words], or null. */
export const placeFor = (problem) => WHERE[problem.code] ?? null;
