const KEY = "magic-theme";
const NAMES = /** @type {const} */ (["system", "light", "dark"]);

/**
 * A button that goes through the system's colours, light and dark.
 *
 * @param {HTMLButtonElement} button
 * @param {import("./memory.js").Memory} memory
 */
export function switchTheme(button, memory) {
  const show = () => {
    const chosen = NAMES.find((name) => name === memory.recall(KEY)) ?? "system";
    if (chosen === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = chosen;
    button.dataset["icon"] = chosen;
    button.title = `Colours: ${chosen}`;
    const words = button.querySelector(".unseen");
    if (words) words.textContent = `Colours: ${chosen}`;
    return chosen;
  };
  button.addEventListener("click", () => {
    const next = NAMES[(NAMES.indexOf(show()) + 1) % NAMES.length] ?? "system";
    memory.keep(KEY, next === "system" ? "" : next);
    show();
  });
  show();
}
