// What every page has: the choice of colours, tables that sort and fold, tabs, and the link to the content.

function makeControls() {
  makeThemeSwitch();
  document.querySelectorAll("table.sortable").forEach(makeSortable);
  document.querySelectorAll("[data-few]").forEach(makeFolded);
  document.querySelectorAll(".panels").forEach(makeTabs);
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault(); // the address stays that of the view
    document.getElementById("content").focus();
  });
}
