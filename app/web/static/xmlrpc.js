// An XML-RPC client.

/** A fault response. */
export class Fault extends Error {
  constructor(code, text) {
    super(text);
    this.code = code;
  }
}

/**
 * Calls a method with string parameters and returns its result. Throws a Fault for a fault response, an AbortError if
 * `signal` is aborted, and another Error if there is no valid response.
 */
export async function call(method, params, signal) {
  const response = await fetch("RPC2", {
    method: "POST",
    headers: { "Content-Type": "text/xml" },
    body: serializeCall(method, params),
    signal,
  });
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
  return parseResponse(await response.text());
}

/** Returns a call as XML. Characters that XML does not allow become U+FFFD, so the service rejects such an id. */
export function serializeCall(method, params) {
  const values = params.map((text) => `<param><value><string>${escapeText(text)}</string></value></param>`);
  return `<?xml version="1.0"?><methodCall><methodName>${method}</methodName><params>${values.join("")}</params></methodCall>`;
}

/** Returns the value in a response. Throws a Fault for a fault response, and a SyntaxError for an invalid one. */
export function parseResponse(xml) {
  const root = new DOMParser().parseFromString(xml, "text/xml").documentElement;
  const value = root.querySelector(":scope > params > param > value, :scope > fault > value");
  if (root.localName !== "methodResponse" || value === null) throw new SyntaxError("not an XML-RPC response");
  if (value.parentElement.localName !== "fault") return parseValue(value);
  const { faultCode, faultString } = parseValue(value);
  throw new Fault(faultCode, faultString);
}

function parseValue(element) {
  const type = element.firstElementChild;
  if (type === null) return element.textContent;
  switch (type.localName) {
    case "int":
    case "i4":
    case "i8":
    case "double":
      return Number(type.textContent);
    case "boolean":
      return type.textContent.trim() === "1";
    case "nil":
      return null;
    case "array":
      return Array.from(type.querySelectorAll(":scope > data > value"), parseValue);
    case "struct":
      return Object.fromEntries(Array.from(type.children, parseMember));
    default:
      return type.textContent;
  }
}

function parseMember(element) {
  return [element.querySelector(":scope > name").textContent, parseValue(element.querySelector(":scope > value"))];
}

function escapeText(text) {
  return text
    .toWellFormed()
    .replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;");
}
