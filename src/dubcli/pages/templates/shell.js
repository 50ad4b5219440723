for (const head of document.querySelectorAll("table.sortable th")) {
  head.tabIndex = 0;
  const sort = () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    const row = head.parentElement, body = head.closest("table").tBodies[0], at = head.cellIndex;
    for (const other of row.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = r => r.cells[at].dataset.value;
    const rows = [...body.rows], numeric = rows.some(r => value(r) !== undefined);
    rows.sort((a, b) => {
      if (!numeric) return (up ? 1 : -1) * a.cells[at].textContent.localeCompare(b.cells[at].textContent);
      const x = value(a), y = value(b);
      if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
      return (up ? 1 : -1) * (Number(x) - Number(y));
    });
    body.append(...rows);
  };
  head.addEventListener("click", sort);
  head.addEventListener("keydown", event => { if (event.key === "Enter") sort(); });
}
for (const box of document.querySelectorAll("input[data-filters]")) {
  const rows = [...document.getElementById(box.dataset.filters).tBodies[0].rows];
  box.addEventListener("input", () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) row.hidden = !words.every(word => row.textContent.toLowerCase().includes(word));
  });
}
const dark = matchMedia("(prefers-color-scheme: dark)");
const drawCharts = () => {
  for (const place of document.querySelectorAll(".chart")) {
    const spec = JSON.parse(place.nextElementSibling.textContent);
    const ink = getComputedStyle(document.body).color, line = getComputedStyle(place).getPropertyValue("--line");
    const config = { background: "transparent", font: "system-ui, sans-serif",
      axis: { labelColor: ink, titleColor: ink, gridColor: line, domainColor: line, tickColor: line },
      legend: { labelColor: ink, titleColor: ink, labelLimit: 240 }, view: { stroke: "transparent" } };
    vegaEmbed(place, spec, { config, renderer: "svg", actions: { export: true, source: false, compiled: false,
      editor: false } }).catch(error => { place.textContent = String(error); console.error(error); });
  }
};
if (window.vegaEmbed) { drawCharts(); dark.addEventListener("change", drawCharts); }
// of several sounds one is heard at a time
document.addEventListener("play", event => {
  for (const other of document.querySelectorAll("audio")) if (other !== event.target) other.pause();
}, true);
