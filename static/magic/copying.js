const SHOWN_MS = 1500;

/**
 * Copies a text and says so on the button that asked for it.
 *
 * @param {HTMLButtonElement} button
 * @param {string} text
 */
export async function copy(button, text) {
  const label = button.dataset["label"] ?? button.textContent ?? "";
  button.dataset["label"] = label;
  const copied = await write(text);
  button.textContent = copied ? "Copied" : "Not allowed";
  setTimeout(() => (button.textContent = label), SHOWN_MS);
}

/** @param {string} text */
async function write(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

/**
 * Where the page is not served by HTTPS, browsers have no clipboard of their own for it.
 *
 * @param {string} text
 */
function copyBySelection(text) {
  const focused = document.activeElement;
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "unseen";
  document.body.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  if (focused instanceof HTMLElement) focused.focus();
  return copied;
}
