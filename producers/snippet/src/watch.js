// What is noticed without a call: page views, clicks, forms and impressions that the page's author has marked.

import { D, W, config, isHidden, keep, now, on, recall } from './state.js';
import { clean } from './page.js';

const MARK = 'data-funnel-';
const IMPRESSION = MARK + 'impression';
const EVENT = MARK + 'event';

// data-funnel-order-id="7" -> {order_id: '7'}
const told = (element) => {
  const found = {};
  for (const { name, value } of element.attributes)
    if (name.startsWith(MARK)) found[name.slice(12).replace(/-/g, '_')] = value;
  const { event, form, impression, ...properties } = found;
  return properties;
};

// E-mail and telephone number alone, where they look like it; never another field.
const contacts = (form) => {
  const found = {};
  for (const { type, name, autocomplete, value } of form.elements) {
    const about = type === 'text' ? name + ' ' + autocomplete : type;
    if (/e-?mail/i.test(about) && /\S@\S/.test(value)) found.email = value;
    if (/\btel|phone|mobile/i.test(about) && /^\+?[\d\s().-]{6,}$/.test(value)) found.phone = value;
  }
  return found;
};

export const watch = (put) => {
  let last; // the address of the last page view
  let isUnseen; // a page view waits until the page is visible
  let late; // a page view waits for its title

  let stay; // a page in view for ten seconds has somebody's interest: told once in half an hour

  const settle = () => {
    late?.();
    late = null;
  };
  const look = () => {
    clearTimeout(stay);
    if (isHidden()) return;
    stay = setTimeout(() => {
      if (now() - recall('engaged') < 18e5) return;
      keep('engaged', now());
      put('engaged', 0, []);
    }, 1e4);
  };
  const view = () => {
    last = clean(location.href);
    (isUnseen = isHidden()) || put('page_view', 0, []);
  };
  // A router changes the address first and the title a little later.
  const moved = () => {
    if (clean(location.href) === last) return;
    settle();
    const moment = [now(), location.href, , last];
    last = clean(location.href);
    late = () => put('page_view', 0, moment);
    setTimeout(settle, 300);
  };
  if (!config.manual) {
    view();
    for (const name of ['pushState', 'replaceState']) {
      const original = history[name];
      history[name] = function () {
        original.apply(this, arguments);
        moved();
      };
    }
    on(W, 'popstate hashchange', moved);
    on(W, 'pageshow', (event) => event.persisted && view());
    on(D, 'visibilitychange', look);
    look();
  }
  on(W, 'pagehide', settle);
  on(D, 'visibilitychange', () => {
    settle();
    isUnseen && view();
  });

  on(D, 'click auxclick', (event) => {
    for (const element of event.button < 2 ? event.composedPath() : []) {
      const name = element.getAttribute?.(EVENT);
      if (name) return put(name, told(element));
    }
  });

  on(D, 'submit', ({ target }) => {
    const name = target.getAttribute(MARK + 'form');
    const form = target.getAttribute('name') || target.id;
    if (name) put(name, { form, ...contacts(target), ...told(target) });
    else if (config.forms) put('form_submit', { form });
  });

  // Half of an element for a second, once for each element.
  const timers = new WeakMap(); // of each element that was found once
  const observer = new IntersectionObserver(
    (entries) =>
      entries.forEach(({ target, intersectionRatio }) => {
        clearInterval(timers.get(target));
        intersectionRatio < 0.5 ||
          timers.set(
            target,
            setInterval(() => {
              if (isHidden()) return;
              clearInterval(timers.get(target));
              observer.unobserve(target);
              put(target.getAttribute(IMPRESSION), told(target));
            }, 1e3),
          );
      }),
    { threshold: 0.5 },
  );
  let scanning;
  const scan = () => {
    scanning = 0;
    D.querySelectorAll(`[${IMPRESSION}]`).forEach((element) => {
      timers.has(element) || timers.set(element, observer.observe(element));
    });
  };
  new MutationObserver(() => {
    scanning ||= setTimeout(scan, 200);
  }).observe(D, { childList: true, subtree: true, attributeFilter: [IMPRESSION] });
  scan();
};
