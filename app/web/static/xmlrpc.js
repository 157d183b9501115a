// XML-RPC as this page speaks it: a call goes out, its value comes back.

/** What the service says instead of an answer. */
export class Fault extends Error {
  constructor(code, text) {
    super(text);
    this.code = code;
  }
}

/**
 * Calls a method; its parameters are strings. Throws a Fault, an AbortError when `signal` says so, and another Error
 * when no answer could be had.
 */
export async function call(method, params, signal) {
  const response = await fetch("RPC2", {
    method: "POST",
    headers: { "Content-Type": "text/xml" },
    body: written(method, params),
    signal,
  });
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
  return read(await response.text());
}

/** Returns a call as XML. What XML cannot hold becomes U+FFFD, and is refused as any other wrong id. */
export function written(method, params) {
  const values = params.map((text) => `<param><value><string>${escaped(text)}</string></value></param>`);
  return `<?xml version="1.0"?><methodCall><methodName>${method}</methodName><params>${values.join("")}</params></methodCall>`;
}

/** Returns the value of an answer. Throws the Fault that it is, or a SyntaxError where it is no answer. */
export function read(xml) {
  const root = new DOMParser().parseFromString(xml, "text/xml").documentElement;
  const value = root.querySelector(":scope > params > param > value, :scope > fault > value");
  if (root.localName !== "methodResponse" || value === null) throw new SyntaxError("no answer of XML-RPC");
  if (value.parentElement.localName !== "fault") return valueOf(value);
  const { faultCode, faultString } = valueOf(value);
  throw new Fault(faultCode, faultString);
}

function valueOf(element) {
  const typed = element.firstElementChild;
  if (typed === null) return element.textContent;
  switch (typed.localName) {
    case "int":
    case "i4":
    case "i8":
    case "double":
      return Number(typed.textContent);
    case "boolean":
      return typed.textContent.trim() === "1";
    case "nil":
      return null;
    case "array":
      return Array.from(typed.querySelectorAll(":scope > data > value"), valueOf);
    case "struct":
      return Object.fromEntries(Array.from(typed.children, memberOf));
    default:
      return typed.textContent;
  }
}

function memberOf(element) {
  return [element.querySelector(":scope > name").textContent, valueOf(element.querySelector(":scope > value"))];
}

function escaped(text) {
  return text
    .toWellFormed()
    .replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;");
}
