// A classic script, and the first: the page must not be painted in the wrong colours.
(() => {
  try {
    const chosen = localStorage.getItem("magic-theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset["theme"] = chosen;
  } catch {
    // Site data are blocked: the system's own colours.
  }
})();
