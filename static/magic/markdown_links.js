import { safeUrl } from "./links.js";

const AFTER_ADDRESS = /[.,;:!?)\]}>'"*_~]+$/;

/**
 * A bare address ends with its last character that can belong to one.
 *
 * @param {Element} link
 */
export function closeAddress(link) {
  const written = link.textContent ?? "";
  let after = AFTER_ADDRESS.exec(written)?.[0] ?? "";
  let address = written.slice(0, written.length - after.length);
  if (after.startsWith(")") && countOf(address, "(") > countOf(address, ")")) {
    address += ")";
    after = after.slice(1);
  }
  const url = safeUrl(address);
  if (url === null) return putBack(link, "", "");
  const before = link.previousSibling;
  if (after.startsWith(">") && before?.nodeType === 3 && before.textContent?.endsWith("<")) {
    before.textContent = before.textContent.slice(0, -1);
    after = after.slice(1);
  }
  link.textContent = address;
  direct(link, url);
  if (after !== "") link.after(link.ownerDocument.createTextNode(after));
}

/**
 * @param {Element} link
 * @param {string} url
 */
export function direct(link, url) {
  link.setAttribute("href", url);
  link.setAttribute("target", "_blank");
  link.setAttribute("rel", "noopener noreferrer nofollow");
}

/**
 * Puts what an element holds in its place, between what was written around it.
 *
 * @param {Element} element
 * @param {string} before
 * @param {string} after
 */
export function putBack(element, before, after) {
  const parent = element.parentElement;
  const document = element.ownerDocument;
  if (before !== "") element.before(document.createTextNode(before));
  element.before(...element.childNodes);
  if (after !== "") element.before(document.createTextNode(after));
  element.remove();
  parent?.normalize();
}

/**
 * @param {string} text
 * @param {string} char
 */
export function countOf(text, char) {
  return text.split(char).length - 1;
}
