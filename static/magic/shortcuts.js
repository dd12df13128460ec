/**
 * @typedef {object} Shortcut
 * @property {string} key as `KeyboardEvent.key` has it, in lower case
 * @property {boolean} [mod] with Ctrl, or ⌘
 * @property {boolean} [shift]
 * @property {boolean} [anywhere] also while something is being written
 * @property {() => boolean | void} act false: not now, the key is the browser's
 */

/**
 * Keys that do something wherever the reader is.
 *
 * @param {EventTarget} target
 * @param {Shortcut[]} shortcuts
 */
export function listen(target, shortcuts) {
  target.addEventListener("keydown", (happened) => {
    const event = /** @type {KeyboardEvent} */ (happened);
    if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]") !== null) return;
    const shortcut = shortcuts.find((one) => fits(one, event));
    if (shortcut !== undefined && shortcut.act() !== false) event.preventDefault();
  });
}

/**
 * @param {Shortcut} shortcut
 * @param {KeyboardEvent} event
 */
function fits({ key, mod = false, shift, anywhere = mod }, event) {
  if (event.key.toLowerCase() !== key || event.altKey) return false;
  if ((event.ctrlKey || event.metaKey) !== mod) return false;
  if (shift !== undefined && event.shiftKey !== shift) return false;
  return anywhere || !isWriting(event.target);
}

/** @param {EventTarget | null} target */
function isWriting(target) {
  return target instanceof HTMLElement && target.matches("input, textarea, select, [contenteditable]");
}
