// charts (dubcli.pages.charts): drawn when they come near the screen, and again when light turns to dark
const dark = matchMedia("(prefers-color-scheme: dark)");
const drawn = new Map();
const button = (text, label, act) => {
  const made = document.createElement("button");
  made.type = "button"; made.textContent = text; made.title = label; made.setAttribute("aria-label", label);
  made.addEventListener("click", act);
  return made;
};
// a switch for each series; with shift held, or of one that is alone, all others go or come
const shapes = { circle: "\u25cf", square: "\u25a0", cross: "\u271a", diamond: "\u25c6", "triangle-up": "\u25b2",
  "triangle-down": "\u25bc", "triangle-right": "\u25b6", "triangle-left": "\u25c0" };
const seriesSwitches = (view, shaped) => {
  const scale = view.scale("color"), names = scale.domain(), hidden = new Set();
  const group = document.createElement("div");
  group.className = "switches"; group.role = "group"; group.setAttribute("aria-label", "Series shown");
  const made = names.map(name => {
    const one = button("", `show ${name}`, event => {
      if (event.shiftKey) {
        const alone = !hidden.has(name) && hidden.size === names.length - 1;
        hidden.clear();
        if (!alone) for (const other of names) if (other !== name) hidden.add(other);
      } else if (!hidden.delete(name)) hidden.add(name);
      made.forEach((each, at) => each.setAttribute("aria-pressed", !hidden.has(names[at])));
      view.signal("hidden", [...hidden]).runAsync();
    });
    const spot = document.createElement("i");
    if (shaped) {
      spot.textContent = shapes[view.scale("shape")(name)] ?? shapes.circle;
      spot.style.color = scale(name);
      spot.className = "shape";
    } else spot.style.background = scale(name);
    one.append(spot, name);
    one.setAttribute("aria-pressed", true);
    return one;
  });
  group.append(...made);
  return group;
};
// moves and zooms by keys and buttons what a drag moves and a wheel zooms
const mover = view => {
  const fields = view.signal("view_tuple_fields");
  const domain = field => view.scale(field.channel).domain();
  const set = domains => {
    fields.forEach((field, at) => view.signal(`view_${field.field.replace(/\W/g, "_")}`, domains && domains[at]));
    view.runAsync();
  };
  let changed = false;
  const by = (right, up, factor) => {
    changed = true;
    set(fields.map(field => {
      const [low, high] = domain(field), shift = (field.channel === "x" ? right : up) * (high - low);
      const middle = (low + high) / 2 + shift, half = (high - low) / 2 * factor;
      return [middle - half, middle + half];
    }));
  };
  const whole = () => { changed = false; set(null); };
  const acts = { "+": () => by(0, 0, 0.7), "-": () => by(0, 0, 1 / 0.7), ArrowLeft: () => by(-0.2, 0, 1),
    ArrowRight: () => by(0.2, 0, 1), ArrowUp: () => by(0, 0.2, 1), ArrowDown: () => by(0, -0.2, 1), 0: whole };
  const keys = event => {
    const act = acts[event.key];
    if (!act || event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key.startsWith("Arrow") && !changed) return;  // the page's, while there is nothing to move
    event.preventDefault();
    act();
  };
  const group = document.createElement("div");
  group.role = "group"; group.setAttribute("aria-label", "Zoom"); group.className = "switches";
  group.append(button("+", "zoom in", acts["+"]), button("\u2212", "zoom out", acts["-"]),
    button("\u2190", "move left", acts.ArrowLeft), button("\u2192", "move right", acts.ArrowRight),
    button("whole", "show all of it", whole));
  return { group, keys };
};
const drawChart = async place => {
  drawn.get(place)?.();
  const spec = JSON.parse(place.parentElement.querySelector("script").textContent);
  const params = (spec.params ?? []).concat(...(spec.layer ?? []).map(one => one.params ?? [])).map(one => one.name);
  const ink = getComputedStyle(document.body).color, line = getComputedStyle(place).getPropertyValue("--line");
  const config = { background: "transparent", font: "system-ui, sans-serif",
    axis: { labelColor: ink, titleColor: ink, gridColor: line, domainColor: line, tickColor: line, labelSeparation: 6 },
    legend: { labelColor: ink, titleColor: ink, labelLimit: 240, disable: params.includes("hidden") },
    view: { stroke: "transparent" } };
  const target = document.createElement("div");
  place.replaceChildren(target);
  try {
    const { view, finalize } = await vegaEmbed(target, spec, { config, renderer: "svg", tooltip: { theme: dark.matches ?
      "dark" : "light" }, actions: { export: true, source: false, compiled: false, editor: false } });
    const tools = [];
    if (params.includes("hidden")) {
      const shaped = Boolean(spec.encoding?.shape);
      tools.push(seriesSwitches(view, shaped));
      // what the colours stand for is chosen: other series
      if (params.includes("colour")) view.addSignalListener("colour", async () => {
        await view.signal("hidden", []).runAsync();
        const now = seriesSwitches(view, shaped);
        tools[0].replaceWith(now);
        tools[0] = now;
      });
    }
    let keys = () => {};
    if (params.includes("view")) {
      const moves = mover(view);
      tools.push(moves.group);
      keys = moves.keys;
      place.addEventListener("keydown", keys);
    }
    place.append(...tools);
    place.dataset.drawn = "yes";
    drawn.set(place, () => { finalize(); place.removeEventListener("keydown", keys); });
  } catch (error) { place.textContent = String(error); console.error(error); }
};
if (window.vegaEmbed) {
  const near = new IntersectionObserver(entries => {
    for (const entry of entries) if (entry.isIntersecting) { near.unobserve(entry.target); drawChart(entry.target); }
  }, { rootMargin: "600px" });
  for (const place of document.querySelectorAll(".chart")) near.observe(place);
  dark.addEventListener("change", () => { for (const place of [...drawn.keys()]) drawChart(place); });
}
