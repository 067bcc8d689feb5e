"use strict";
(function () {
  const { make, options, addSliders } = parts;
  addSliders(document);

  // Curves: hover or arrow keys read values, dragging or the buttons zoom, boxes choose lines.
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const colors = ["#2f7ed8", "#d9480f", "#2b8a3e", "#ae3ec9", "#c2255c", "#0b8599", "#b08900", "#7048e8"];
  const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const shown = (value, unit) =>
    value == null ? "–" : String(Number(value.toPrecision(4))) + (unit === "°" || !unit ? unit : " " + unit);
  const plots = [];

  charts.forEach((chart, index) => {
    const place = document.querySelector('[data-chart="' + index + '"]');
    const plot = make("div", { className: "plot", tabIndex: 0 });
    plot.setAttribute("role", "img");
    const which = make("select", { ariaLabel: chart.title + ": what to show" });
    options(which, chart.groups.map((group) => group.name + (group.unit ? ", " + group.unit : "")), 0);
    const along = make("select", { ariaLabel: chart.title + ": along epochs or time" });
    options(along, ["by epoch", "by time (minutes)"], 0);
    const log = make("input", { type: "checkbox" });
    const reading = make("span", { className: "soft" });
    reading.setAttribute("aria-live", "polite");
    const choices = make("div", { className: "choices" });
    const tools = make("div", { className: "tools" }, which, along, make("label", {}, log, " logarithmic"));
    let u = null, group = null, values = [];

    const zoom = (factor) => {
      const x = u.data[0], low = u.scales.x.min, high = u.scales.x.max;
      if (factor === 0 || x.length < 2) return u.setData(u.data, true);
      const middle = u.cursor.idx == null ? (low + high) / 2 : x[u.cursor.idx];
      const half = Math.min(((high - low) * factor) / 2, (x[x.length - 1] - x[0]) / 2);
      const start = Math.max(x[0], Math.min(middle - half, x[x.length - 1] - 2 * half));
      u.setScale("x", { min: start, max: start + 2 * half });
    };
    [["+", "zoom in", 0.5], ["−", "zoom out", 2], ["all", "show all", 0]].forEach(([text, words, factor]) => {
      const button = make("button", { type: "button", textContent: text, title: words, onclick: () => zoom(factor) });
      button.setAttribute("aria-label", chart.title + ": " + words);
      tools.append(button);
    });
    place.append(tools, plot, choices, make("p", {}, reading));

    const read = () => {
      const i = u.cursor.idx, nothing = i == null || u.cursor.left < 0;
      reading.textContent = nothing ? "" : (along.value === "0" ? "epoch " : "minute ") + shown(u.data[0][i], "");
      group.lines.forEach((line, row) => { values[row].textContent = nothing ? "" : shown(u.data[row + 1][i], group.unit); });
    };
    const build = () => {
      if (u) u.destroy();
      group = chart.groups[which.value];
      const x = along.value === "0" ? "epoch" : "minutes";
      const data = uPlot.join(group.lines.map((line) => [line[x], line.y]));
      const positive = group.lines.every((line) => line.y.every((y) => y > 0));
      log.disabled = !positive;
      plot.setAttribute("aria-label", chart.title + ", " + group.name + ": arrow keys read values, + and - zoom, 0 shows all");
      const axis = (label) => ({
        label, stroke: () => ink("--soft"), grid: { stroke: () => ink("--line"), width: 1 }, ticks: { stroke: () => ink("--line"), width: 1 },
        labelSize: 22, font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif",
      });
      u = new uPlot({
        width: Math.max(240, plot.clientWidth), height: 260, legend: { show: false },
        scales: { x: { time: false }, y: { distr: log.checked && positive ? 3 : 1 } },
        axes: [
          { ...axis(along.value === "0" ? "epoch" : "minutes"), incrs: along.value === "0" ? [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] : undefined, size: 40 },
          { ...axis(group.unit), size: 58, values: (_, ticks) => ticks.map((y) => (y == null ? "" : String(Number(y.toPrecision(6))))) },
        ],
        cursor: { drag: { x: true, y: false } },
        series: [{}, ...group.lines.map((line, row) => ({
          label: line.name, stroke: colors[row % colors.length], width: 2, spanGaps: true,
          dash: row >= colors.length ? [6, 4] : undefined, points: { show: line.y.length < 40, size: 5 },
        }))],
        hooks: { setCursor: [() => read()] },
      }, data, plot);
      values = group.lines.map(() => make("output", { className: "soft" }));
      choices.replaceChildren(...group.lines.map((line, row) => {
        const box = make("input", { type: "checkbox", checked: true, onchange: () => u.setSeries(row + 1, { show: box.checked }) });
        const swatch = make("span", { className: "swatch line" });
        swatch.style.background = colors[row % colors.length];
        box.hidden = group.lines.length === 1;
        return make("label", {}, box, swatch, line.name, values[row]);
      }));
    };
    plot.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step) {
        const i = Math.max(0, Math.min(u.data[0].length - 1, (u.cursor.idx == null || u.cursor.left < 0 ? (step > 0 ? -1 : u.data[0].length) : u.cursor.idx) + step));
        u.setCursor({ left: Math.max(0, u.valToPos(u.data[0][i], "x")), top: u.over.clientHeight / 2 });
      } else if ("+-0".includes(event.key)) zoom({ "+": 0.5, "-": 2, 0: 0 }[event.key]);
      else return;
      event.preventDefault();
    });
    [which, along, log].forEach((control) => control.addEventListener("change", build));
    build();
    plots.push({ plot, chart: () => u });
  });

  const redraw = () => plots.forEach(({ plot, chart }) => chart().setSize({ width: Math.max(240, plot.clientWidth), height: 260 }));
  let waiting = 0;
  addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(redraw, 100); });
  ["(prefers-color-scheme: dark)", "print"].forEach((query) => matchMedia(query).addEventListener("change", redraw));
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { if (!one.open) { one.open = true; one.dataset.closed = ""; } }));
  addEventListener("afterprint", () => document.querySelectorAll("details[data-closed]").forEach((one) => { one.open = false; delete one.dataset.closed; }));
})();
