// Tables: sorting by their headings, folding of long ones, a filter, and panels of which one is shown.

function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, index) => {
    const button = make("button", { type: "button" }, ...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const isText = head.classList.contains("text");
      const now = head.getAttribute("aria-sort");
      const next = now ? (now === "ascending" ? "descending" : "ascending") : isText ? "ascending" : "descending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", next);
      sortRows(table, index, next === "ascending" ? 1 : -1);
    });
  });
}

/** Cells without a value come last in either order. */
function sortRows(table, index, sign) {
  const body = table.tBodies[0];
  const keyed = [...body.rows].map((row) => {
    const word = row.cells[index].dataset.value;
    const number = Number(word);
    return [word === undefined ? null : Number.isNaN(number) || word === "" ? word : number, row];
  });
  keyed.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a === "number" && typeof b === "number") return sign * (a - b);
    if (typeof a !== typeof b) return (typeof a === "string") - (typeof b === "string");
    return sign * a.localeCompare(b, "en", { numeric: true });
  });
  body.append(...keyed.map(([, row]) => row));
  fold(table);
}

/** Hide all but the first rows of a long table, or entries of a long list, until the button below is pressed. */
function makeFolded(list) {
  const count = entriesOf(list).length;
  if (count <= Number(list.dataset.few) + 2) {
    delete list.dataset.few;
    return;
  }
  const frame = list.closest(".scroll") ?? list;
  const button = make("button", { type: "button", class: "more" }, `Show all ${count.toLocaleString("en")}`);
  button.addEventListener("click", () => {
    delete list.dataset.few;
    fold(list);
    button.remove();
    frame.tabIndex = 0;
    frame.focus();
  });
  frame.after(button);
  fold(list);
}

function fold(list) {
  const few = Number(list.dataset.few) || Infinity;
  entriesOf(list).forEach((entry, index) => entry.classList.toggle("folded", index >= few));
}

function entriesOf(list) {
  return [...(list.tBodies?.[0].rows ?? list.children)];
}

/** A field above the table of runs: only rows with all its words are shown. */
function makeFilter(region) {
  if (!region) return;
  const rows = [...region.querySelector("tbody").rows];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const field = make("input", { type: "search", id: "filter", autocomplete: "off", spellcheck: "false" });
  const status = make("span", { role: "status", class: "aside" });
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, index) => {
      row.hidden = !words.every((word) => texts[index].includes(word));
      shown += !row.hidden;
    });
    status.textContent = words.length
      ? `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} runs`
      : "";
  });
  region.before(make("p", { class: "filter" }, make("label", { for: "filter" }, "Only runs with"), field, status));
}

/** One panel at a time, chosen by tabs: arrows move between them. Where no script runs all panels are shown. */
function makeTabs(group) {
  const panels = [...group.children];
  const list = make("div", { role: "tablist", "aria-label": group.dataset.label });
  const tabs = panels.map((panel, index) => {
    const tab = make("button", { type: "button", role: "tab", id: `tab-${index}` }, panel.dataset.title);
    panel.id = `panel-${index}`;
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", tab.id);
    tab.setAttribute("aria-controls", panel.id);
    tab.addEventListener("click", () => choose(index));
    return tab;
  });
  function choose(chosen) {
    tabs.forEach((tab, index) => {
      tab.setAttribute("aria-selected", String(index === chosen));
      tab.tabIndex = index === chosen ? 0 : -1;
      panels[index].classList.toggle("unchosen", index !== chosen);
    });
  }
  list.addEventListener("keydown", (event) => {
    const now = tabs.indexOf(document.activeElement);
    const last = tabs.length - 1;
    const next = { ArrowRight: now === last ? 0 : now + 1, ArrowLeft: now ? now - 1 : last, Home: 0, End: last }[
      event.key
    ];
    if (now < 0 || next === undefined) return;
    event.preventDefault();
    choose(next);
    tabs[next].focus();
  });
  list.append(...tabs);
  group.before(list);
  choose(0);
}
