// A source's settings while somebody edits them: texts by path, turned into what the API takes.

/** What a key holds, told by its default as TOML writes it. */
export function kindOf(key) {
  const words = /^"[^"]*"(, "[^"]*")+$/.test(key.allowed ?? "") ? [...key.allowed.matchAll(/"([^"]*)"/g)].map((match) => match[1]) : null;
  if (words) return { kind: "choice", words };
  const text = key.default ?? "";
  if (text.startsWith("[")) return { kind: "list" };
  if (text.startsWith("{")) return { kind: "table" };
  if (text === "true" || text === "false") return { kind: "choice", words: ["true", "false"], flag: true };
  if (/^-?\d+$/.test(text)) return { kind: "number" };
  return { kind: "text" };
}

/** A default as a person types it. */
export function plainDefault(key) {
  const text = key.default ?? "";
  if (text.startsWith("[")) return [...text.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map((match) => match[1]).join(", ");
  return text.startsWith('"') ? text.slice(1, -1) : text;
}

const textOf = (value) => {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
};

const at = (object, path) => path.split(".").reduce((inner, name) => inner?.[name], object);

/** An editable copy of a source's settings. */
export class Draft {
  constructor(settings, keys) {
    this.base = settings;
    this.kinds = new Map(keys.map((key) => [pathOf(key), kindOf(key)]));
    this.edits = new Map();
  }

  /** The text of a field. */
  text(path) {
    return this.edits.has(path) ? this.edits.get(path) : textOf(at(this.base, path));
  }

  /** Takes what was typed. */
  edit(path, text) {
    this.edits.set(path, text);
  }

  /** Takes proposed settings (an object below `api`). */
  apply(proposed, below = "api") {
    for (const [name, value] of Object.entries(proposed)) {
      const path = `${below}.${name}`;
      const isKey = this.kinds.has(path) || typeof value !== "object" || value === null || Array.isArray(value);
      if (isKey) this.edit(path, textOf(value));
      else this.apply(value, path);
    }
  }

  get isChanged() {
    return [...this.edits].some(([path, text]) => text !== textOf(at(this.base, path)));
  }

  /** What the API takes: {settings}, or {problems} where a text is not what its key holds. */
  settings() {
    const settings = structuredClone(this.base);
    const problems = [];
    for (const [path, text] of this.edits) {
      try {
        put(settings, path, text.trim() === "" ? undefined : this.value(path, text));
      } catch (error) {
        problems.push({ severity: "error", field: path, message: error.message, hint: null });
      }
    }
    for (const [part, account] of [["realtime", "account"], ["historical", "username"]]) {
      if (!settings[part]) continue;
      delete settings[part].password_is_set;
      if (!settings[part][account]) delete settings[part];
    }
    return problems.length > 0 ? { problems } : { settings };
  }

  value(path, text) {
    const { kind, flag } = this.kinds.get(path) ?? { kind: "text" };
    if (path.endsWith(".password")) return text;
    if (kind === "list") return text.split(",").map((part) => part.trim()).filter(Boolean);
    if (kind === "number") {
      if (!/^\d+$/.test(text.trim())) throw new Error("is no whole number");
      return Number(text);
    }
    if (kind === "table") return table(text);
    return flag ? text === "true" : text.trim();
  }
}

function table(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error('is no table such as {"name": "value"}');
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error('is no table such as {"name": "value"}');
  return value;
}

function put(object, path, value) {
  const names = path.split(".");
  const last = names.pop();
  let inner = object;
  for (const name of names) {
    if (typeof inner[name] !== "object" || inner[name] === null) inner[name] = {};
    inner = inner[name];
  }
  if (value === undefined) delete inner[last];
  else inner[last] = value;
}

/** The path of a key within a source's settings: `source.realtime` and `account` → `realtime.account`. */
export const pathOf = (key) => [...key.table.split(".").slice(1), key.key].join(".");

/** The path that a problem's field means. */
export const pathOfProblem = (problem) => problem.field.replace(/^(\[\[)?source(\]\])?(\[[^\]]*\])?\.?/, "").replace(/^[a-z0-9-]+\.(realtime|historical|configuration|api|queues|states)\b/, "$1");
