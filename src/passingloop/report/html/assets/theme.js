// Light, dark, or as the system says; and light while printing.

const THEMES = ["auto", "light", "dark"];

function makeThemeSwitch() {
  const root = document.documentElement;
  const choices = THEMES.map((theme) => {
    const input = make("input", { type: "radio", name: "theme", value: theme, id: `theme-${theme}` });
    input.checked = root.dataset.theme === theme;
    input.addEventListener("change", () => setTheme(theme));
    return [input, make("label", { for: input.id }, theme[0].toUpperCase() + theme.slice(1))];
  });
  document
    .getElementById("theme")
    .append(make("fieldset", { class: "switch" }, make("legend", { class: "hidden" }, "Colours"), choices));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawCharts);
  addEventListener("beforeprint", () => setPrinting(true));
  addEventListener("afterprint", () => setPrinting(false));
}

/** While printing the page is light, and charts are drawn for the width of paper before it is laid out. */
function setPrinting(isPrinting) {
  const classes = document.documentElement.classList;
  if (classes.contains("printing") === isPrinting) return;
  classes.toggle("printing", isPrinting);
  redrawCharts();
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("passingloop-theme", theme);
  } catch {
    // the choice then lasts as long as the page is open
  }
  redrawCharts();
}
