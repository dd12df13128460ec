/**
 * The way into the Network lab: loads it when someone first wants it, and not before.
 *
 * @param {HTMLElement} button opens and closes it
 * @param {HTMLElement} aside
 * @param {import("./lab.js").LabParts} parts
 */
export function labDoor(button, aside, parts) {
  /** @type {Promise<ReturnType<typeof import("./lab.js").mountLab>> | null} */
  let mounted = null;
  const lab = () => (mounted ??= import("./lab.js").then(({ mountLab }) => mountLab(aside, parts)));
  button.addEventListener("click", async () => (await lab()).toggle());
  aside.addEventListener("toggle", () => button.setAttribute("aria-expanded", String(!aside.hidden)));
  document.addEventListener("magic:cut", async () => (await lab()).cut());
}
