// Runs before the page is shown: only where scripts run are views hidden, and the chosen theme must not flash.
(() => {
  const root = document.documentElement;
  root.classList.add("scripts");
  try {
    root.dataset.theme = localStorage.getItem("passingloop-theme") || "auto";
  } catch {
    root.dataset.theme = "auto"; // storage is closed to files in some browsers
  }
})();
