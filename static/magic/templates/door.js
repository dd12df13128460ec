/**
 * The way to the templates: loads them when someone first wants one, and not before.
 *
 * @param {HTMLButtonElement} button opens them
 * @param {HTMLDialogElement} dialog with an element `[data-part=place]`
 * @param {(text: string) => void} onMessage gets a filled-in template
 */
export function templatesDoor(button, dialog, onMessage) {
  const place = /** @type {HTMLElement} */ (dialog.querySelector("[data-part=place]"));
  /** @param {string} text */
  const use = (text) => {
    dialog.close();
    onMessage(text);
  };
  let mounted = false;
  button.addEventListener("click", async () => {
    dialog.showModal();
    if (mounted) return;
    place.replaceChildren();
    try {
      const { mountTemplates } = await import("./mount.js");
      mounted = await mountTemplates(place, use);
    } catch {
      place.textContent = "The templates can't be loaded. Close this and try again.";
    }
  });
}
