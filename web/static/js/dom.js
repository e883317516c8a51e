// The page's elements: made without markup in strings, changed only where
// something differs.

/** Makes an element: el('div', {class: 'row', role: 'row'}, child, 'text'). */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children);
  return node;
}

/** Sets an element's text if it differs. */
export function setText(node, text) {
  const child = node.firstChild;
  if (child === null) {
    if (text !== '') node.append(text);
  } else if (child.data !== text) {
    child.data = text;
  }
}

/** Sets an attribute, or removes it with null, if it differs. */
export function setAttr(node, name, value) {
  if (value === null) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== value) {
    node.setAttribute(name, value);
  }
}

/** Sets a custom property if it differs. */
export function setVar(node, name, value) {
  if (node.style.getPropertyValue(name) !== value) node.style.setProperty(name, value);
}

const calm = matchMedia('(prefers-reduced-motion: reduce)');

const flashing = new WeakMap();

/** Tints a cell's text for a moment: tone is "up", "down", "up-soft" or "down-soft". */
export function flash(node, tone) {
  if (calm.matches) return;
  flashing.get(node)?.cancel();
  // No last keyframe: it ends in whatever the cell looks like by then.
  flashing.set(node, node.animate([{ offset: 0, color: `var(--${tone})` }], { duration: 550, easing: 'ease-in' }));
}
