// Elements of the page. Whatever comes from outside becomes text here, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** Returns the element of this id, which stands in index.html. */
export function here(id) {
  return document.getElementById(id);
}

/** Makes an element with these attributes, an absent one being null, and children, which are elements or texts. */
export function make(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** Makes an element of SVG in the same way. */
export function draw(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/** Makes a link to an address from outside; where it leads nowhere that a browser should go, its text alone. */
export function link(url) {
  if (!isWeb(url)) return make("span", {}, url);
  return make("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, url);
}

/** Tells whether a text is an absolute address of http or https. */
export function isWeb(url) {
  return URL.canParse(url) && ["http:", "https:"].includes(new URL(url).protocol);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
