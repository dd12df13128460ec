/**
 * Asks before something that can't be undone.
 *
 * @param {{ question: string, detail: string, yes: string }} words
 * @returns {Promise<boolean>}
 */
export function confirmed({ question, detail, yes }) {
  const dialog = document.createElement("dialog");
  dialog.className = "sheet small";
  dialog.setAttribute("aria-labelledby", "confirmation");
  const form = document.createElement("form");
  form.method = "dialog";
  const heading = document.createElement("h2");
  heading.id = "confirmation";
  heading.textContent = question;
  const text = document.createElement("p");
  text.textContent = detail;
  const row = document.createElement("div");
  row.className = "sheet-row";
  row.append(button("Cancel", "", "plain"), button(yes, "yes", "strong alarming"));
  form.append(heading, text, row);
  dialog.append(form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}

/**
 * @param {string} label
 * @param {string} value
 * @param {string} className
 */
function button(label, value, className) {
  const element = document.createElement("button");
  element.value = value;
  element.className = className;
  element.textContent = label;
  return element;
}
