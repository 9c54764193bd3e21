// The sources: the product's two connections with its own fields and labels, everything that is
// assumed of Thrio's API folded below, a test of the connection, a preview of the import.

import { get } from "../api.js";
import { h } from "../dom.js";
import { many } from "../format.js";
import { refresh } from "../live.js";
import { announce, card, choices, confirmed, empty, failure, field, notice, pill, reading } from "../parts.js";
import { importPlan, probeReport } from "../reports.js";
import { change } from "../session.js";
import { Draft, kindOf, pathOf, pathOfProblem, plainDefault } from "../settings.js";

/** The two parts of the product's configuration page, with its labels. */
const PARTS = [
  {
    part: "realtime", title: "Real-time adherence integration", feeds: ["realtime"],
    without: "Without an account no agent states are collected.",
    fields: [
      { key: "base_url", label: "Base URL", type: "url" },
      { key: "account", label: "Account", type: "text" },
      { key: "password", label: "Password", type: "password" },
      { key: "transaction_collection_interval_s", label: "Transaction Collection Interval (seconds)", type: "number",
        hint: "1 to 3600, 15 where it is empty. At 15 s about a quarter of the short states between two calls are never seen, at 60 s nearly half, at 5 s one in twenty-five: 5 is recommended." },
    ],
  },
  {
    part: "historical", title: "Historical contact volume data collection", feeds: ["historical", "queues", "agents"],
    without: "Without a user name no contact volume is collected.",
    fields: [
      { key: "base_url", label: "Base URL", type: "url" },
      { key: "username", label: "UserName", type: "text" },
      { key: "password", label: "Password", type: "password" },
    ],
  },
];
const MAIN_KEYS = new Set(PARTS.flatMap(({ part, fields }) => fields.map(({ key }) => `${part}.${key}`)));
/** On the form's top, or for the main file only. */
const ELSEWHERE = ["name", "time_zone", "api_file", "states_file"];
/** A new source: both connections with the product's usual address. */
const fresh = (name, keys) => ({ name, realtime: { base_url: usual(keys, "realtime.base_url") }, historical: { base_url: usual(keys, "historical.base_url") } });
const usual = (keys, path) => plainDefault(keys.find((key) => pathOf(key) === path) ?? {});

/** Opens the view. */
export function open(context) {
  const forms = new Map();
  const redraw = () => context.draw(...page(sources, forms, acts));
  const sources = reading(() => get("sources"), redraw);
  const read = async () => {
    await sources.read();
    const { rows, keys } = sources.value ?? { rows: [], keys: [] };
    for (const row of rows) {
      const form = forms.get(row.name);
      if (!form || !form.draft.isChanged) forms.set(row.name, { ...(form ?? blank()), row, draft: new Draft(row.settings, keys) });
    }
    if (sources.value && rows.length === 0) acts.add();
    redraw();
  };
  const acts = actions(forms, sources, redraw, read);
  redraw();
  void read();
  return { redraw };
}

const blank = () => ({ row: null, draft: null, problems: [], said: null, busy: null, probes: new Map(), plan: null });

function actions(forms, sources, redraw, read) {
  /** Does one thing of a form at a time, and shows what came of it. */
  const during = async (form, words, work) => {
    form.busy = words;
    redraw();
    try {
      await work();
    } catch (error) {
      form.problems = error.detail?.problems ?? [];
      // What is marked at its field is not said a second time.
      form.said = form.problems.length > 0 ? () => notice("error", "Not done: what is marked is not right.") : () => failure(error);
    }
    form.busy = null;
    redraw();
  };
  const checked = (form) => {
    const { settings, problems } = form.draft.settings();
    form.problems = problems ?? [];
    if (problems) form.said = () => notice("error", "Not done: what is marked is not right.");
    return settings;
  };
  return {
    edit: (form, path, text) => { form.draft.edit(path, text); redraw(); },
    add: () => {
      const names = new Set(forms.keys());
      let name = "main";
      for (let at = 2; names.has(name); at += 1) name = `main-${at}`;
      if (!forms.has("")) forms.set("", { ...blank(), draft: new Draft(fresh(name, sources.value.keys), sources.value.keys) });
      redraw();
    },
    cancel: () => { forms.delete(""); redraw(); },
    test: (form, { part, feeds }) => during(form, `test ${part}`, async () => {
      const settings = checked(form);
      if (!settings) return;
      form.said = null;
      for (const feed of feeds) form.probes.delete(feed);
      for (const feed of feeds) {
        const probe = await change("sources/probe", { settings, feed, ...(feed === "realtime" ? { polls: 2 } : {}) });
        if (probe === null) return;
        form.probes.set(feed, probe);
        announce(probe.message);
        redraw();
        if (!probe.ok) return;
      }
    }),
    apply: (form, suggested) => {
      form.draft.apply(suggested);
      form.said = () => notice("setup", "The suggestion stands in the fields below. Test again, then save.");
      form.unfold = true;
      redraw();
    },
    preview: (form) => during(form, "import", async () => {
      const plans = await change("import", { source: form.row.name, dry_run: true });
      if (plans !== null) form.plan = { ...plans[form.row.name], preview: true };
    }),
    import: (form, confirm) => during(form, "import", async () => {
      const plans = await change("import", { source: form.row.name, dry_run: false, confirm });
      if (plans === null) return;
      form.plan = { ...plans[form.row.name], preview: false };
      announce("Imported");
    }),
    save: (form) => during(form, "save", async () => {
      const settings = checked(form);
      if (!settings) return;
      const done = await change("sources", settings);
      if (done === null) return;
      const warnings = () => done.warnings.map((warning) => h("p", {}, `${warning.field}: ${warning.message}`));
      const kept = { ...form, row: null, draft: new Draft({}, []), said: () => notice("ok", h("strong", {}, "Saved, and it runs. "), h("a", { href: "#/overview" }, "See how it does"), warnings()) };
      forms.delete(form.row ? form.row.name : "");
      forms.set(done.saved, { ...kept, problems: [], busy: null });
      announce("Saved, and it runs");
      await read();
      await refresh();
    }),
    remove: async (form) => {
      const text = `${form.row.name} is no longer collected. What was collected stays, and what waits is still delivered.`;
      if (!(await confirmed("Remove this source?", text, "Remove"))) return;
      await during(form, "remove", async () => {
        if ((await change("sources/remove", { name: form.row.name })) === null) return;
        forms.delete(form.row.name);
        await read();
        await refresh();
      });
    },
  };
}

function page(sources, forms, acts) {
  if (sources.value === null) return [sources.error ? failure(sources.error) : h("p", { class: "muted" }, "Reading the settings …")];
  const keys = sources.value.keys;
  const added = forms.get("");
  return [
    sources.error && failure(sources.error),
    h("p", { class: "lead" }, "A source is one Thrio tenant with its two connections. What is saved here takes effect at once and leaves what waits for delivery alone."),
    [...forms].filter(([name]) => name !== "").map(([, form]) => (form.row?.managed === "file" ? fileCard(form, keys, acts) : form.row && formCard(form, keys, acts))),
    added && formCard(added, keys, acts),
    !added && h("div", {}, h("button", { type: "button", onclick: acts.add }, "Add a source")),
  ];
}

/** A source that is edited here. */
function formCard(form, keys, acts) {
  const name = form.row?.name ?? "";
  const id = (path) => `${name || "new"}-${path.replaceAll(".", "-")}`;
  const context = { form, acts, id, problemOf: problemsByPath(form), readonly: false };
  return card(name ? `Source ${name}` : "New source", { "data-key": `form ${name}` },
    h("form", { novalidate: true, onsubmit: (event) => { event.preventDefault(); void acts.save(form); } },
      otherProblems(form, keys),
      h("div", { class: "fields" },
        !form.row && line(context, "name", "Name", { hint: "a-z, 0-9 and -. It is the key of every row upstream: choose it once." }),
        line(context, "time_zone", "Time zone of the site", { hint: "An IANA name such as Europe/Berlin, for this page, reports and exports. UTC where it is empty.", list: "zones" })),
      h("datalist", { id: "zones" }, (Intl.supportedValuesOf?.("timeZone") ?? []).map((zone) => h("option", { value: zone }))),
      PARTS.map((part) => partFields(context, part, keys)),
      folded(context, keys),
      h("div", { class: "actions" },
        h("button", { type: "submit", class: "primary", disabled: form.busy !== null }, form.busy === "save" ? "Saving …" : "Save"),
        importButton(form, acts),
        !form.row && h("button", { type: "button", onclick: acts.cancel }, "Cancel"),
        form.row && h("button", { type: "button", class: "danger", disabled: form.busy !== null, onclick: () => void acts.remove(form) }, "Remove")),
      form.said && h("div", { class: "said" }, form.said),
      form.plan && importPlan(form.plan, { busy: form.busy === "import", run: (confirm) => void acts.import(form, confirm) })));
}

function importButton(form, acts) {
  if (!form.row) return null;
  return h("button", { type: "button", disabled: form.busy !== null || form.draft.isChanged, title: form.draft.isChanged ? "Save first" : null, onclick: () => void acts.preview(form) },
    form.busy === "import" ? "Asking Thrio …" : "Import queues and agents");
}

/** A source of the main file: shown, tested and imported here, changed there. */
function fileCard(form, keys, acts) {
  const { row } = form;
  const value = (path) => form.draft.text(path);
  return card(`Source ${row.name}`, { "data-key": `file ${row.name}` },
    h("p", {}, pill("idle", "managed in the file"), " Its settings are changed in ", h("code", {}, row.file), ", then ", h("code", {}, "thrio-edge reload --wait"), "."),
    PARTS.map((part) => h("fieldset", { class: "part" }, h("legend", {}, part.title),
      row.settings[part.part] ? h("dl", { class: "facts" }, part.fields.map(({ key, label, type }) =>
        h("div", {}, h("dt", {}, label), h("dd", {}, type === "password" ? (row.settings[part.part].password_is_set === false ? "not set" : "set, never shown") : value(`${part.part}.${key}`) || defaultOf(keys, `${part.part}.${key}`))))) : h("p", { class: "muted" }, "Not collected."),
      row.settings[part.part] && testButton(form, part, acts), part.feeds.map((feed) => probed(form, feed, null)))),
    h("details", {}, h("summary", {}, "Every setting of this source"), h("dl", { class: "record" }, keys.filter((key) => !key.is_secret && key.table.startsWith("source")).map((key) => {
      const set = value(pathOf(key));
      return h("div", {}, h("dt", {}, pathOf(key)), h("dd", {}, set ? h("code", {}, set) : h("span", { class: "muted" }, plainDefault(key) || "not set")));
    }))),
    h("div", { class: "actions" }, importButton(form, acts)),
    form.said && h("div", { class: "said" }, form.said),
    form.plan && importPlan(form.plan, { busy: form.busy === "import", run: (confirm) => void acts.import(form, confirm) }));
}

function defaultOf(keys, path) {
  const key = keys.find((one) => pathOf(one) === path);
  return h("span", { class: "muted" }, key ? plainDefault(key) || "not set" : "not set");
}

function problemsByPath(form) {
  const found = new Map(form.problems.filter((problem) => problem.severity !== "warning").map((problem) => [pathOfProblem(problem), problem]));
  return (path) => {
    const problem = found.get(path);
    return problem && told(problem);
  };
}

/** A problem with what the field may hold, and what to do. */
const told = (problem) => [problem.message, problem.allowed && `Allowed: ${problem.allowed}`, problem.hint].filter(Boolean).join(". ");

/** Problems of fields that are not on the form. */
function otherProblems(form, keys) {
  const onForm = new Set(["name", "time_zone", ...MAIN_KEYS, ...keys.map(pathOf)]);
  const others = form.problems.filter((problem) => !onForm.has(pathOfProblem(problem)));
  if (others.length === 0) return null;
  return notice("error", others.map((problem) => h("p", {}, h("code", {}, problem.field), ` ${told(problem)}`)));
}

function line({ form, acts, id, problemOf }, path, label, { hint, type = "text", list, placeholder, kind } = {}) {
  const text = form.draft.text(path);
  const onText = (event) => acts.edit(form, path, event.target.value);
  const control = kind?.kind === "choice"
    ? choices({ onchange: onText }, [["", placeholder ? `default: ${placeholder}` : "not set"], ...kind.words.map((word) => [word, word])], text)
    : h("input", { type, value: text, list, placeholder, oninput: onText, autocomplete: type === "password" ? "new-password" : "off", spellcheck: "false", inputmode: type === "number" ? "numeric" : null });
  return field(id(path), label, control, hint, problemOf(path));
}

function partFields(context, part, keys) {
  const { form, acts } = context;
  const isSet = form.draft.base[part.part]?.password_is_set;
  return h("fieldset", { class: "part", "data-key": part.part }, h("legend", {}, part.title),
    h("div", { class: "fields" }, part.fields.map(({ key, label, type, hint }) =>
      line(context, `${part.part}.${key}`, label, { type: type === "number" ? "text" : type, hint, placeholder: key === "password" && isSet ? "set; leave it empty to keep it" : key === "base_url" ? usual(keys, `${part.part}.base_url`) : null }))),
    h("p", { class: "hint" }, part.without),
    testButton(form, part, acts),
    part.feeds.map((feed) => probed(form, feed, (suggested) => acts.apply(form, suggested))));
}

function testButton(form, part, acts) {
  const mine = form.busy === `test ${part.part}`;
  return h("div", { class: "actions" }, h("button", { type: "button", disabled: form.busy !== null, onclick: () => void acts.test(form, part) }, mine ? "Asking Thrio …" : "Test connection"));
}

function probed(form, feed, apply) {
  const probe = form.probes.get(feed);
  return probe && probeReport(feed, probe, apply);
}

/** Every other setting, folded: first what is assumed of the API. */
function folded(context, keys) {
  const settable = keys.filter((key) => key.table.startsWith("source") && !key.key.startsWith("password") && !MAIN_KEYS.has(pathOf(key)) && !ELSEWHERE.includes(pathOf(key)));
  const api = settable.filter((key) => key.table.startsWith("source.api"));
  const others = settable.filter((key) => !key.table.startsWith("source.api"));
  return [
    h("details", { class: "folded", open: context.form.unfold ?? false, "data-key": `api ${context.form.unfold ?? false}` }, h("summary", {}, "What is assumed of Thrio's API ([source.api])"),
      h("p", { class: "hint" }, "Nobody has published these paths, names and units. Test connection finds most of them out; an empty field takes its default, which stands in it in grey. Lists are separated by commas."),
      groups(context, api)),
    h("details", { class: "folded", "data-key": "others" }, h("summary", {}, `${many(others.length, "further setting")} of this source`), groups(context, others)),
  ];
}

function groups(context, keys) {
  if (keys.length === 0) return empty("No further setting.");
  const tables = [...new Set(keys.map((key) => key.table))];
  return tables.map((name) => h("fieldset", { class: "group", "data-key": name }, h("legend", {}, h("code", {}, `[${name}]`)),
    h("div", { class: "fields" }, keys.filter((key) => key.table === name).map((key) =>
      line(context, pathOf(key), key.key, { placeholder: plainDefault(key), kind: kindOf(key), hint: key.allowed && kindOf(key).kind !== "choice" ? key.allowed : null })))));
}
