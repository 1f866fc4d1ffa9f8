"use strict";
(() => {
  const NARROW = 600; // pixels of width below which names of points give way
  // Named one by one: Plotly's own selection has a button that uploads the figure.
  const BUTTONS = ["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"];
  const byId = (id) => document.getElementById(id);
  const read = (id) => JSON.parse(byId("data-" + id).textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: " + (NARROW - 1) + "px)");
  const coarse = matchMedia("(pointer: coarse)");
  const colours = read("themes").dark;
  const plans = read("plans");
  let current = null; // the candidate whose plan is shown

  // Plotly's source lies in the page compressed; as an element's text it runs under the page's policy.
  async function loadPlotly() {
    const packed = Uint8Array.from(atob(byId("plotly").textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
    if (!window.Plotly) throw new Error("its JavaScript was not run");
  }

  function recoloured(value) {
    if (typeof value === "string") return Object.hasOwn(colours, value) ? colours[value] : value;
    if (Array.isArray(value)) return value.map(recoloured);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, recoloured(item)]));
  }

  function draw(element, name) {
    const figure = dark.matches ? recoloured(read(name)) : read(name);
    for (const trace of figure.data) {
      if (narrow.matches && trace.meta && trace.meta.narrow) Object.assign(trace, trace.meta.narrow);
    }
    // A finger that moves over a figure scrolls the page.
    if (coarse.matches) figure.layout.dragmode = false;
    if (narrow.matches && figure.layout.meta) Object.assign(figure.layout, figure.layout.meta.narrow);
    element.style.height = figure.layout.height + "px";
    figure.layout.uirevision = name;
    const config = { responsive: true, displaylogo: false, doubleClick: "reset",
      modeBarButtons: [BUTTONS], plotlyServerURL: "", displayModeBar: narrow.matches ? false : "hover" };
    return window.Plotly.react(element, figure.data, figure.layout, config);
  }

  async function drawAll() {
    const pressed = document.querySelector(".tabs [aria-pressed=true]");
    if (pressed) await drawFront(pressed);
    for (const element of document.querySelectorAll(".figure[data-figure]")) {
      await new Promise((done) => setTimeout(done)); // what is drawn appears before the next figure is begun
      await draw(element, element.dataset.figure);
    }
  }

  async function drawFront(tab) {
    const element = byId("front-figure");
    await draw(element, tab.dataset.figure);
    if (!element.dataset.listens) {
      element.dataset.listens = "true";
      element.on("plotly_click", (event) => choose(String(event.points[0].customdata[0])));
    }
    const below = Number(tab.dataset.below);
    byId("below").textContent = below
      ? below + (below === 1 ? " model lies" : " models lie") + " below the view." : "";
    byId("everything").hidden = !below;
    for (const note of document.querySelectorAll("[data-for]")) note.hidden = note.dataset.for !== tab.dataset.figure;
  }

  function cell(row, content, kind) {
    const element = document.createElement(kind || "td");
    element.append(content);
    row.append(element);
    return element;
  }

  function choose(number) {
    const plan = plans.of[number];
    for (const row of document.querySelectorAll("tr[data-candidate]")) {
      row.setAttribute("aria-current", String(row.dataset.candidate === number));
    }
    byId("plan-layers").replaceChildren();
    if (!plan) {
      byId("plan-title").textContent = "Candidate " + number;
      const name = document.title.replace(/ – Slimfront$/, "");
      byId("plan-summary").textContent =
        "It is not on the front: `slimfront show " + name + "/" + number + "` prints its layers.";
      return;
    }
    current = number;
    byId("plan-title").textContent = plan.title;
    byId("plan-summary").textContent = plan.layers.length
      ? plan.summary + " (" + plan.origin + ")" : "Another tool has made this file: there is no plan of its layers.";
    if (plan.layers.length) byId("plan-layers").append(layerTable(plan));
  }

  function layerTable(plan) {
    const table = document.createElement("table");
    const head = table.createTHead().insertRow();
    for (const title of ["layer", "bits", "channels", "size", "error"]) cell(head, title, "th");
    const body = table.createTBody();
    plan.layers.forEach(([level, bits, channels, all, error, size, method], place) => {
      const row = body.insertRow();
      const [name, kind] = plans.layers[place];
      cell(row, name).title = kind + ", " + method;
      cell(row, level === "fp32" ? "fp32" : String(bits));
      const kept = cell(row, "");
      if (channels === null) {
        kept.textContent = "–";
      } else {
        const bar = document.createElement("span");
        bar.className = "left";
        const part = document.createElement("i");
        part.style.width = (100 * channels) / all + "%";
        bar.append(part);
        kept.append(bar, channels + "/" + all);
      }
      cell(row, size);
      cell(row, error || "–");
    });
    return table;
  }

  function sortBy(header) {
    const place = [...header.parentElement.children].indexOf(header);
    const direction = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of header.parentElement.children) other.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
    const value = (row) => {
      const text = row.children[place] ? row.children[place].dataset.value : "";
      return text === undefined || text === "" ? Infinity : direction * Number(text);
    };
    for (const body of header.closest("table").tBodies) {
      const rows = [...body.querySelectorAll("tr[data-candidate]")];
      rows.sort((left, right) => value(left) - value(right) || 0);
      body.append(...rows);
    }
  }

  for (const tab of document.querySelectorAll(".tabs button")) {
    tab.addEventListener("click", () => {
      for (const other of document.querySelectorAll(".tabs button")) {
        other.setAttribute("aria-pressed", String(other === tab));
      }
      if (window.Plotly) drawFront(tab);
    });
  }
  byId("everything").addEventListener("click", () => {
    const element = byId("front-figure");
    window.Plotly.relayout(element, element.layout.meta.everything);
    byId("everything").hidden = true;
  });
  for (const row of document.querySelectorAll("tr[data-candidate]")) {
    row.addEventListener("click", () => {
      choose(row.dataset.candidate);
      byId("plan").scrollIntoView({ block: "nearest", behavior: "smooth" });
    });
  }
  for (const header of document.querySelectorAll(".models thead th")) {
    header.addEventListener("click", () => sortBy(header));
  }
  for (const query of [dark, narrow]) query.addEventListener("change", () => { if (window.Plotly) drawAll(); });
  addEventListener("beforeprint", () => { if (current) choose(current); });

  choose(String(plans.first));
  loadPlotly().then(drawAll).then(
    () => { document.body.dataset.ready = "true"; },
    (error) => {
      byId("trouble").hidden = false;
      byId("trouble").textContent =
        "The figures cannot be drawn (" + error.message + "): open the file in a newer browser.";
    },
  );
})();
