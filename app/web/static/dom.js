// DOM helpers. Strings from outside become text nodes or attribute values, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** Returns the element of index.html with this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Creates an HTML element. Attributes whose value is null are omitted; children are elements or strings. */
export function createElement(tag, attributes = {}, ...children) {
  return populate(document.createElement(tag), attributes, children);
}

/** Creates an SVG element in the same way. */
export function createSvgElement(tag, attributes = {}, ...children) {
  return populate(document.createElementNS(SVG, tag), attributes, children);
}

/** Creates a link to a URL from outside, or only its text if the URL is not http or https. */
export function createLink(url) {
  if (!isHttpUrl(url)) return createElement("span", {}, url);
  return createElement("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, url);
}

/** Returns whether a string is an absolute http or https URL. */
export function isHttpUrl(url) {
  return URL.canParse(url) && ["http:", "https:"].includes(new URL(url).protocol);
}

function populate(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
