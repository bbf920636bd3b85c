"use strict";
// Functions that the other scripts share, and the list of contents.

const Page = {
  /** Return the content of a JSON element, or null if the page does not have the element. */
  read(id) {
    const element = document.getElementById(id);
    return element ? JSON.parse(element.textContent) : null;
  },

  /** Return a new element with attributes and children (nodes or text). */
  make(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  },

  /** Fill a select with [{key, label, group}]; the selected choice stays selected if it is still among them. */
  fill(select, choices) {
    const before = select.value;
    const groups = new Map();
    select.replaceChildren();
    for (const { key, label, group } of choices) {
      if (group && !groups.has(group)) {
        groups.set(group, Page.make("optgroup", { label: group }));
        select.append(groups.get(group));
      }
      (groups.get(group) ?? select).append(Page.make("option", { value: key }, label));
    }
    if (choices.some(({ key }) => String(key) === before)) select.value = before;
    // With a single choice there is nothing to select.
    select.closest("label").hidden = choices.length < 2;
  },

  /** Return a score as readers see it; a point is [value], [value, low, high] or null. */
  say(point, metric) {
    if (!point) return "–";
    const digits = metric.scale === 100 ? 1 : 2;
    const [value, low, high] = point.map((number) => (number * metric.scale).toFixed(digits));
    return low === undefined ? value : `${value} [${low}, ${high}]`;
  },

  /** Return the name of a metric with its unit. */
  head(metric) {
    return metric.unit ? `${metric.name} (${metric.unit})` : metric.name;
  },

  /** Call `start` when a reader scrolls near an element, or prints the page; until then the element costs no time. */
  whenNear(element, start) {
    const begin = () => {
      observer.disconnect();
      removeEventListener("beforeprint", begin);
      start();
    };
    const observer = new IntersectionObserver((entries) => {
      if (entries.some(({ isIntersecting }) => isIntersecting)) begin();
    }, { rootMargin: "800px" });
    observer.observe(element);
    addEventListener("beforeprint", begin);
  },

  /** Return a colour of the style sheet, in the present colour scheme. */
  colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  },
};

(function contents() {
  const box = document.querySelector(".contents details");
  const narrow = matchMedia("(max-width: 67.99rem)");
  // On a phone the open list would cover the page; on a wide screen there is room for both.
  const fit = () => { box.open = !narrow.matches; };
  fit();
  narrow.addEventListener("change", fit);
  const links = new Map();
  for (const link of document.querySelectorAll(".contents a")) {
    links.set(decodeURIComponent(link.hash.slice(1)), link);
    link.addEventListener("click", () => { if (narrow.matches) box.open = false; });
  }
  const headings = [...links.keys()].map((id) => document.getElementById(id)).filter(Boolean);
  /** Scroll the list of contents, not the page, until a link is visible. */
  const reveal = (link) => {
    const list = narrow.matches ? box.querySelector("ul") : box.parentElement;
    const [top, frame] = [link.getBoundingClientRect(), list.getBoundingClientRect()];
    if (top.top < frame.top || top.bottom > frame.bottom) list.scrollTop += top.top - frame.top - frame.height / 2;
  };
  const markCurrentLink = () => {
    // The reader is probably at the last heading above the end of the window's upper third.
    const limit = innerHeight / 3;
    let current = headings[0];
    for (const heading of headings) if (heading.getBoundingClientRect().top <= limit) current = heading;
    for (const [id, link] of links) {
      if (current && id === current.id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    if (current) reveal(links.get(current.id));
  };
  const observer = new IntersectionObserver(markCurrentLink, { rootMargin: "0px 0px -66% 0px" });
  headings.forEach((heading) => observer.observe(heading));
})();
