/**
 * The element with this id. The page's own markup promises that it exists.
 *
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @param {new () => T} [kind] the element's class, checked
 * @returns {T}
 */
export function byId(id, kind) {
  const element = document.getElementById(id);
  if (element === null || (kind !== undefined && !(element instanceof kind))) throw new Error(`no element #${id}`);
  return /** @type {T} */ (element);
}

/**
 * The first element below `root` that fits the selector. The page's own markup promises that it exists.
 *
 * @template {Element} [T=HTMLElement]
 * @param {ParentNode} root
 * @param {string} selector
 * @returns {T}
 */
export function find(root, selector) {
  const element = root.querySelector(selector);
  if (element === null) throw new Error(`no element ${selector}`);
  return /** @type {T} */ (element);
}

/**
 * Makes an element. Texts are always set as text, never as markup: what a server or another user wrote cannot become
 * part of the page.
 *
 * @param {string} tag
 * @param {{ class?: string, text?: string, attributes?: Record<string, string> }} [options]
 * @param {readonly Node[]} [children]
 * @returns {HTMLElement}
 */
export function make(tag, { class: className, text, attributes = {} } = {}, children = []) {
  const element = document.createElement(tag);
  if (className !== undefined) element.className = className;
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/**
 * Makes a drawing out of one path. The name space is SVG's fixed name, not an address that is fetched.
 *
 * @param {string} viewBox
 * @param {string} path
 * @param {string} className
 * @returns {SVGSVGElement}
 */
export function drawing(viewBox, path, className) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', viewBox);
  svg.setAttribute('class', className);
  svg.setAttribute('aria-hidden', 'true');
  const line = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  line.setAttribute('d', path);
  svg.append(line);
  return svg;
}

/**
 * Sets a text only when it changes, so that a live region does not speak again without news.
 *
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
