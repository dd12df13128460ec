/**
 * A block of code with its language and a button that copies it.
 *
 * @param {Document} document
 * @returns {{ element: Element, code: Element, label: Element }}
 */
export function makeCodeBlock(document) {
  const element = make(document, "div", "code");
  const head = make(document, "div", "code-head");
  const label = make(document, "span", "language");
  label.textContent = "text";
  const copy = make(document, "button", "quiet");
  copy.setAttribute("type", "button");
  copy.setAttribute("data-copy", "code");
  copy.textContent = "Copy code";
  head.append(label, copy);
  const frame = document.createElement("pre");
  // A wide block is scrolled by keyboard too.
  frame.setAttribute("tabindex", "0");
  frame.setAttribute("dir", "ltr");
  const code = document.createElement("code");
  frame.append(code);
  element.append(head, frame);
  return { element, code, label };
}

/**
 * @param {Document} document
 * @param {string} name
 * @param {string} className
 */
function make(document, name, className) {
  const element = document.createElement(name);
  element.setAttribute("class", className);
  return element;
}
