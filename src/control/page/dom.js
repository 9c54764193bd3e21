// Builds and updates the tree. Every text from outside enters as text, never as markup, and there
// is no way here to do otherwise.

const SVG = "http://www.w3.org/2000/svg";
const HANDLERS = ["onclick", "onchange", "oninput", "onsubmit", "onkeydown", "ontoggle"];
// What lives as a property: the attribute is only where it began.
const PROPERTIES = ["checked", "disabled", "selected"];

/** An HTML element: `h("a", {href: "#/x", class: "y"}, "text", child, [more])`. */
export function h(tag, attributes, ...children) {
  return build(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function s(tag, attributes, ...children) {
  return build(document.createElementNS(SVG, tag), attributes, children);
}

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (HANDLERS.includes(name)) node[name] = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  append(node, children);
  return node;
}

function append(node, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(node, child);
    // What is drawn again and again is made anew each time: a node can be in one place only.
    else if (typeof child === "function") append(node, [child()]);
    else node.append(child instanceof Node ? child : String(child));
  }
}

/** Makes `place` hold `children`, reusing what is there: focus, scrolling and selections stay. */
export function draw(place, ...children) {
  const fresh = document.createDocumentFragment();
  append(fresh, children);
  patchChildren(place, fresh);
}

function patchChildren(old, fresh) {
  const wanted = [...fresh.childNodes];
  const keyed = new Map();
  for (const node of old.childNodes) {
    const key = keyOf(node);
    if (key) keyed.set(key, node);
  }
  let at = old.firstChild;
  for (const node of wanted) {
    const key = keyOf(node);
    const match = key ? keyed.get(key) : at;
    if (match && same(match, node) && (key || !keyOf(match))) {
      // Two of one name are two: the second is made anew.
      if (key) keyed.delete(key);
      // What is moved loses the focus: nameless ones that stand before it go instead.
      while (key && at !== match && !keyOf(at)) {
        at = at.nextSibling;
        at.previousSibling.remove();
      }
      if (match === at) at = at.nextSibling;
      else old.insertBefore(match, at);
      patch(match, node);
    } else {
      old.insertBefore(node, at);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

const keyOf = (node) => node.nodeType === 1 && node.getAttribute("data-key");

function same(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);
}

function patch(old, fresh) {
  if (old.nodeType !== 1) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  // What a person opened or closed stays so.
  const isTheirs = (name) => name === "open" && old.nodeName === "DETAILS";
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !isTheirs(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value && !isTheirs(name)) old.setAttribute(name, value);
  }
  for (const name of HANDLERS) old[name] = fresh[name];
  if (old.nodeName === "INPUT" || old.nodeName === "OPTION" || old.nodeName === "BUTTON") {
    for (const name of PROPERTIES) {
      if (name in old && old[name] !== fresh[name]) old[name] = fresh[name];
    }
  }
  if (old.nodeName === "INPUT" || old.nodeName === "TEXTAREA") {
    // A field without a value of its own keeps what was typed.
    const said = fresh.hasAttribute("value");
    if (said && old !== document.activeElement && old.value !== fresh.value) old.value = fresh.value;
    return;
  }
  const chosen = old.nodeName === "SELECT" ? fresh.value : null;
  patchChildren(old, fresh);
  if (chosen !== null && old !== document.activeElement) old.value = chosen;
}
