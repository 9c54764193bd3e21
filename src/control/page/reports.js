// What a test of a connection and a preview of an import found, for the person who asked.

import { h } from "./dom.js";
import { many, number } from "./format.js";
import { notice, table } from "./parts.js";

const FEEDS = { realtime: "Agent states", historical: "Contact volume", queues: "Queues", agents: "Agents" };

/** The answer to a test: what came back, how it was understood, and what would understand it better. */
export function probeReport(feed, probe, apply) {
  const { report } = probe;
  const suggested = report?.suggested ?? {};
  return h("div", { class: "probe", "data-key": `probe ${feed}` },
    notice(probe.ok ? "ok" : "error", h("strong", {}, `${FEEDS[feed]}: `), probe.message),
    report && h("details", { open: true, "data-key": `details ${feed}` }, h("summary", {}, "What came back"),
      report.problem && h("p", { class: "problem" }, report.problem),
      report.calls.map((call) => h("p", {}, call.request && h("code", {}, `${call.request.method} ${call.request.target}`), ` answered ${call.status}, ${call.content_type ?? "no content type"}, ${number(call.bytes)} bytes in ${number(call.took_ms)} ms`)),
      report.fields.length > 0 && table(`${FEEDS[feed]}: fields`, [
        { name: "Field", head: true, cell: (one) => one.field },
        { name: "Found as", cell: (one) => (one.found ? [h("code", {}, one.found), one.proposed && h("span", { class: "muted" }, " guessed")] : h("span", { class: "muted" }, "missing")) },
        { name: "In rows", class: "number", cell: (one) => number(one.rows) },
      ], report.fields),
      report.unused.length > 0 && h("p", { class: "muted" }, "Not used: ", report.unused.map((one) => one.name).join(", ")),
      report.findings.length > 0 && h("ul", { class: "findings" }, report.findings.map((one) => h("li", {}, h("strong", {}, one.about), `: ${one.says}`))),
      report.rows.length > 0 && [h("h3", {}, "The first rows as they would be stored"), h("pre", { tabindex: 0, "aria-label": "The first rows" }, report.rows.join("\n"))],
      report.rejected > 0 && h("p", { class: "problem" }, `${many(report.rejected, "row")} not taken: ${report.rejected_rows.join("; ")}`)),
    Object.keys(suggested).length > 0 && h("div", { class: "suggested" }, h("h3", {}, "Suggested settings"),
      h("pre", { tabindex: 0, "aria-label": "Suggested settings" }, report.settings),
      apply && h("button", { type: "button", onclick: () => apply(suggested) }, "Apply")));
}

/** What an import would change, or changed. */
export function importPlan(plan, { busy, run }) {
  const held = plan.queues?.held || plan.agents?.held;
  return h("div", { class: "plan" },
    h("h3", {}, plan.preview ? "What an import would change" : "Imported"),
    h("div", { class: "plan-lists" }, ["queues", "agents"].map((kind) => plan[kind] && list(kind, plan[kind]))),
    held && notice("warning", `${held.missing} of ${held.open} are missing from the list. If they are really gone, import with confirmation; else nothing is closed.`),
    plan.preview && h("div", { class: "actions" },
      h("button", { type: "button", class: "primary", disabled: busy, onclick: () => run(false) }, busy ? "Importing …" : "Import now"),
      held && h("button", { type: "button", class: "danger", disabled: busy, onclick: () => run(true) }, "Import, and close what is missing")));
}

function list(kind, { listed, complete, new: fresh, renamed, closed, changed }) {
  const name = (one) => one.name ?? one.id;
  const group = (words, few, text) => few.count > 0 && h("div", {}, h("h4", {}, `${number(few.count)} ${words}`),
    h("ul", {}, few.first.slice(0, 50).map((one) => h("li", {}, text(one)))), few.count > 50 && h("p", { class: "muted" }, "and more"));
  const nothing = fresh.count + renamed.count + closed.count + changed === 0;
  return h("section", { "data-key": kind },
    h("p", {}, h("strong", {}, many(listed, kind === "queues" ? "queue" : "agent")), " listed", !complete && ", not the whole list: nothing is closed", nothing && ", nothing to change", "."),
    group("new", fresh, name), group("renamed", renamed, (one) => `${one.old ?? one.id} is now ${one.new ?? one.id}`), group("closed", closed, name),
    changed > 0 && h("p", {}, `${number(changed)} changed otherwise`));
}
