/**
 * The way to the templates: loads them when someone first wants one, and not before.
 *
 * @param {HTMLButtonElement} button opens them
 * @param {HTMLDialogElement} dialog with an element `[data-part=place]`
 * @param {(text: string, template: string) => void} onMessage gets a filled-in template, and its `name@version`
 */
export function templatesDoor(button, dialog, onMessage) {
  const place = /** @type {HTMLElement} */ (dialog.querySelector("[data-part=place]"));
  /**
   * @param {string} text
   * @param {string} template
   */
  const use = (text, template) => {
    dialog.close();
    onMessage(text, template);
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
