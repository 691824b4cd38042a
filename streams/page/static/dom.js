// Elements without markup: whatever a visitor sent is text here and can be nothing else.

// Control characters, and those that turn the direction of what follows: nobody should be able to hide or reorder text.
const UNPRINTABLE = /[\p{Cc}\u202A-\u202E\u2066-\u2069\uFEFF\uFFF9-\uFFFB]/gu;
const MARKS = /[\u061C\u200E\u200F]/gu; // numbers of languages from right to left have them; a name needs none

/** A value as text that can be printed. */
export function plain(value) {
  return String(value).replace(UNPRINTABLE, '\uFFFD');
}

/** An element. Attributes by name; `on...` are listeners, `style` is custom properties; null and false are left out. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else if (name === 'style') for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
    else element.setAttribute(name, value === true ? '' : plain(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined).map(textOr));
  return element;
}

/** Text of a visitor's or an owner's, apart from the direction of the language around it. */
export function name(value) {
  return el('bdi', {}, plain(value).replace(MARKS, '\uFFFD'));
}

/** Put children into an element in place of what is there. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined).map(textOr));
  return element;
}

/** Change the text of an element only where it differs: what did not change is not read out again. */
export function write(element, text) {
  const wanted = plain(text);
  if (element.textContent !== wanted) element.textContent = wanted;
}

export const byId = (id) => document.getElementById(id);

function textOr(child) {
  return child instanceof Node ? child : document.createTextNode(plain(child));
}
