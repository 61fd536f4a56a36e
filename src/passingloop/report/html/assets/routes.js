// Which view is shown: the part of the address behind "#". Then everything is started.

function currentRoute() {
  const [name, number] = location.hash.slice(1).split("/");
  if ((name === "run" || name === "sweep") && /^[0-9]+$/.test(number ?? "")) return { name, number: Number(number) };
  const target = document.getElementById(name);
  const view = target?.closest(".view");
  return { name: view ? view.id : "overview", target: view === target ? null : target };
}

async function show({ moveFocus }) {
  const { name, number, target } = currentRoute();
  if (name === "run") await showRun(number);
  const id = name === "sweep" ? `sweep-${number}` : name;
  const view = document.getElementById(id) ?? document.getElementById("overview");
  for (const other of document.querySelectorAll(".view")) other.classList.toggle("current", other === view);
  const page = { run: "runs", sweep: "sweeps" }[name] ?? view.id;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${page}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = view.id === "overview" ? reportTitle : `${view.dataset.title} · ${reportTitle}`;
  if (name === "sweep") showSweep(number);
  for (const [element, { chart }] of drawn) if (view.contains(element)) chart.resize();
  if (!moveFocus) return;
  if (target) target.scrollIntoView();
  else {
    view.querySelector("h1").focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

const reportTitle = document.title;
makeControls();
makeFilter(document.getElementById("all-runs"));
addEventListener("hashchange", () => show({ moveFocus: true }));
show({ moveFocus: false });
drawOverview();
document.documentElement.dataset.ready = "yes";
performance.mark("interactive");
