// Words of the page, in one language at a time: /page/messages/LANGUAGE.json. Knows no number.

export const LANGUAGES = { en: 'English', he: 'עברית', el: 'Ελληνικά', zh: '中文', uz: 'Oʻzbekcha' };
const RIGHT_TO_LEFT = ['he'];
let words = {};
let language = 'en';

/** The language that was chosen here before, else the browser's, else English. */
export function preferred() {
  const wanted = [stored('language'), ...navigator.languages.map((each) => each.split('-')[0])];
  return wanted.find((each) => each in LANGUAGES) ?? 'en';
}

export async function load(wanted) {
  const answer = await fetch(`/page/messages/${wanted}.json`);
  words = await answer.json();
  language = wanted;
  document.documentElement.lang = wanted;
  document.documentElement.dir = RIGHT_TO_LEFT.includes(wanted) ? 'rtl' : 'ltr';
  keep('language', wanted);
  for (const element of document.querySelectorAll('[data-text]')) element.textContent = t(element.dataset.text);
}

export const current = () => language;

/** A message, its {places} filled in. */
export function t(key, places = {}) {
  return (words[key] ?? key).replace(/\{(\w+)\}/g, (whole, place) => places[place] ?? whole);
}

/** As `t`, but a list of texts and elements, for places that hold elements. */
export function parts(key, places) {
  return (words[key] ?? key).split(/(\{\w+\})/).filter(Boolean).map((part) => places[part.slice(1, -1)] ?? part);
}

let written = {};

/** Remember how names were first written: by dimension, and `reason`, name as compared -> as written. */
export function learn(names) {
  written = names;
}

/** A name: translated where it is one of the words that everybody uses. `kind` is the dimension of a value, or `reason`: those come as they were first written. */
export function term(text, kind = '') {
  const names = Object.hasOwn(written, kind) ? written[kind] : {};
  return words[`name.${text}`] ?? (Object.hasOwn(names, text) ? names[text] : text.replaceAll('_', ' '));
}

export function stored(key) {
  try {
    return localStorage.getItem(`funnelcast.${key}`);
  } catch {
    return null; // a browser that keeps nothing
  }
}

export function keep(key, value) {
  try {
    localStorage.setItem(`funnelcast.${key}`, value);
  } catch {
    // it is asked for again next time
  }
}
