// The toolkit of the interactive figures: frame, plot, curves, movable points, sliders, buttons, legend.
// Plain JavaScript and SVG, no dependency and no network. Colours, dash patterns and markers come from Python.
// Every output that shows a figure carries this file; the first one on a page defines it, the others find it there.
(function () {
  "use strict";
  const book = (window.mamlbook = window.mamlbook || {});
  if (book.kit) return;

  const SVG = "http://www.w3.org/2000/svg";
  const REACH = 24; // pixels: how far from a point a finger may land and still hold it
  const QUIET = 400; // milliseconds without a change after which a screen reader may speak
  let count = 0;

  const unique = (name) => `mb-${name}-${++count}`;
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  const colour = (role) => `var(--mb-${role})`;

  // ---- elements ----------------------------------------------------------------------------------------------

  function set(node, attributes) {
    for (const name in attributes) {
      if (attributes[name] === null) node.removeAttribute(name);
      else node.setAttribute(name, attributes[name]);
    }
    return node;
  }

  function html(tag, attributes, ...children) {
    const node = set(document.createElement(tag), attributes);
    node.append(...children);
    return node;
  }

  function svg(tag, attributes, ...children) {
    const node = set(document.createElementNS(SVG, tag), attributes);
    node.append(...children);
    return node;
  }

  // ---- numbers -----------------------------------------------------------------------------------------------

  const minus = (text) => text.replace("-", "\u2212");
  const fixed = (value, digits) => minus((Math.abs(value) < 0.5 * 10 ** -digits ? 0 : value).toFixed(digits));

  // Two significant digits are what a reader compares; exact values are in the figure's state.
  function short(value) {
    if (!Number.isFinite(value)) return "no longer a number";
    const size = Math.abs(value);
    if (size === 0) return "0";
    if (size < 0.001) return "below 0.001";
    if (size >= 1e6) return "over a million";
    return minus(size < 99.5 ? value.toPrecision(2) : Math.round(value).toLocaleString("en"));
  }

  const plural = (number, one, many) => `${number} ${number === 1 ? one : many}`;

  // ---- what a role looks like --------------------------------------------------------------------------------

  // The outline of a marker of the given radius around the origin, "" for none.
  function outline(shape, radius) {
    const r = radius, d = radius * 1.25;
    switch (shape) {
      case "circle": return `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`;
      case "square": return `M${-r} ${-r}H${r}V${r}H${-r}Z`;
      case "triangle": return `M0 ${-d}L${d} ${r}H${-d}Z`;
      case "diamond": return `M0 ${-d}L${d} 0L0 ${d}L${-d} 0Z`;
      case "cross": {
        const a = r * 0.4;
        return `M${-r} ${-a}H${-a}V${-r}H${a}V${-a}H${r}V${a}H${a}V${r}H${-a}V${a}H${-r}Z`;
      }
      default: return "";
    }
  }

  // A short piece of a role's curve (or only its marker), as it appears in the legend and beside a number.
  function key(looks, role, only) {
    const look = looks[role];
    const icon = svg("svg", { class: "mb-key", width: only ? 12 : 30, height: 12, viewBox: only ? "-6 -6 12 12" : "-15 -6 30 12", "aria-hidden": "true" });
    if (!only) {
      icon.append(svg("path", { d: "M-14 0H14", fill: "none", stroke: colour(role), "stroke-width": 2.5, "stroke-linecap": "round", "stroke-dasharray": look.dash.join(" ") }));
    }
    if (look.marker !== "none") icon.append(svg("path", { d: outline(look.marker, only ? 4 : 4.2), fill: colour(role), class: "mb-marker" }));
    return icon;
  }

  // ---- the frame ---------------------------------------------------------------------------------------------

  // The live part of one figure element. `data` is the JSON that Python handed over.
  function frame(figure, data) {
    const live = figure.querySelector(".mb-live");
    const title = figure.querySelector(".mb-title");
    if (!title.id) title.id = unique("title");
    set(figure, { "aria-labelledby": title.id });
    // What the figure says grows and shrinks, so it stands below what a finger may hold.
    const says = html("div", { class: "mb-says", id: unique("says"), role: "status", "aria-live": "polite", "aria-atomic": "true" });
    const made = { figure, data, live, says, looks: data.looks, title: title.textContent, name: unique("figure"), layouts: [] };
    let timer = 0;

    // Replaces the spoken text. While a point moves the region counts as busy, so that a screen reader waits for
    // the end of the movement instead of reading every position.
    made.say = function (...paragraphs) {
      set(says, { "aria-busy": "true" });
      says.replaceChildren(...paragraphs);
      clearTimeout(timer);
      timer = setTimeout(() => set(says, { "aria-busy": "false" }), QUIET);
    };

    // Calls back with the width now and whenever it changes; a figure in a closed fold has none yet.
    made.onWidth = function (callback) {
      made.layouts.push(callback);
    };
    let width = 0;
    made.layout = function () {
      const now = live.clientWidth || width || 640;
      if (now === width) return;
      width = now;
      for (const callback of made.layouts) callback(width);
    };
    if (window.ResizeObserver) new ResizeObserver(made.layout).observe(live);
    else window.addEventListener("resize", made.layout);
    return made;
  }

  // A number with the sign of the curve it belongs to.
  function number(made, text, role) {
    const node = html("span", { class: "mb-number" });
    if (role) node.append(key(made.looks, role, true));
    node.append(text);
    return node;
  }

  const paragraph = (...parts) => html("p", {}, ...parts);
  const aside = (...parts) => html("p", { class: "mb-aside" }, ...parts);

  // ---- plot: axes, curves, marks -----------------------------------------------------------------------------

  // A plot. options: x: {domain, ticks, label, text: the words at a tick}, y: the same without text, and log: true for
  // a logarithmic axis; height(width), label (for screen readers), spill: pixels below the axis that curves may still
  // use. Who changes an axis later calls layout(width) again.
  function plot(made, options) {
    const margin = Object.assign({ top: 24, right: 14, bottom: 38, left: 34 }, options.margin);
    const clip = unique("clip");
    const box = svg("rect", {});
    const layer = (name) => svg("g", { class: `mb-layer-${name}` });
    const axes = layer("axes"), curves = layer("curves"), marks = layer("marks"), handles = layer("handles");
    set(axes, { "aria-hidden": "true" });
    set(curves, { "clip-path": `url(#${clip})`, "aria-hidden": "true" });
    set(marks, { "aria-hidden": "true" });
    const picture = svg("svg", { role: "group", "aria-label": options.label, "aria-describedby": made.says.id },
      svg("defs", {}, svg("clipPath", { id: clip }, box)), axes, curves, marks, handles);
    const holder = html("div", { class: "mb-plot" }, picture);
    const view = { made, options, picture, holder, curves, marks, handles, held: [], width: 0, height: 0, clip };

    view.x = (value) => margin.left + ((value - options.x.domain[0]) / (options.x.domain[1] - options.x.domain[0])) * view.innerWidth;
    // Where a value stands between the ends of the y axis, 0 to 1; what is not above 0 lies far below a log axis.
    const scale = (value) => (options.y.log ? Math.log(Math.max(value, Number.MIN_VALUE)) : value);
    const unscale = (value) => (options.y.log ? Math.exp(value) : value);
    const ends = () => options.y.domain.map(scale);
    view.y = (value) => { const [low, high] = ends(); return margin.top + ((high - scale(value)) / (high - low)) * view.innerHeight; };
    view.toX = (pixel) => options.x.domain[0] + ((pixel - margin.left) / view.innerWidth) * (options.x.domain[1] - options.x.domain[0]);
    view.toY = (pixel) => { const [low, high] = ends(); return unscale(high - ((pixel - margin.top) / view.innerHeight) * (high - low)); };
    view.inside = (px, py) => px >= margin.left && px <= margin.left + view.innerWidth && py >= margin.top && py <= margin.top + view.innerHeight;

    // One viewBox unit is one CSS pixel at every width, so text keeps its size on a phone.
    view.layout = function (width) {
      view.width = width;
      view.height = options.height(width);
      view.innerWidth = width - margin.left - margin.right;
      view.innerHeight = view.height - margin.top - margin.bottom;
      set(picture, { viewBox: `0 0 ${width} ${view.height}`, height: view.height });
      set(box, { x: margin.left, y: margin.top, width: view.innerWidth, height: view.innerHeight + (options.spill || 0) });
      drawAxes(view, axes, margin);
    };
    made.onWidth(view.layout);
    listen(view);
    return view;
  }

  function drawAxes(view, group, margin) {
    const { x, y } = view.options;
    const right = view.width - margin.right, bottom = view.height - margin.bottom;
    const parts = [];
    for (const tick of y.ticks) {
      const at = view.y(tick);
      parts.push(svg("line", { class: tick === 0 ? "mb-axis" : "mb-grid", x1: margin.left, x2: right, y1: at, y2: at }));
      parts.push(svg("text", { x: margin.left - 8, y: at, dy: "0.35em", "text-anchor": "end" }, minus(String(tick))));
    }
    parts.push(svg("line", { class: "mb-axis", x1: margin.left, x2: right, y1: bottom, y2: bottom }));
    for (const tick of x.ticks) {
      const at = view.x(tick);
      parts.push(svg("line", { class: "mb-axis", x1: at, x2: at, y1: bottom, y2: bottom + 4 }));
      if (x.labels !== false) parts.push(svg("text", { x: at, y: bottom + 17, "text-anchor": "middle" }, minus((x.text || String)(tick))));
    }
    if (x.label) parts.push(svg("text", { class: "mb-axis-label", x: right, y: bottom + 33, "text-anchor": "end" }, x.label));
    parts.push(svg("text", { class: "mb-axis-label", x: 0, y: 13 }, y.label));
    group.replaceChildren(...parts);
  }

  // Far outside the plot a pixel is as good as another, and browsers dislike huge or missing coordinates.
  const pixel = (value) => (Number.isFinite(value) ? clamp(value, -9999, 9999) : -9999).toFixed(1);

  // A curve in the look of its role; `marked` puts the role's marker at that many places along it. Where a value is
  // null there is a gap.
  function curve(view, role, { faint = false, marked = 0 } = {}) {
    const look = view.made.looks[role];
    const path = svg("path", { class: faint ? "mb-curve mb-faint" : "mb-curve", stroke: colour(role), "stroke-dasharray": look.dash.join(" ") || null });
    const group = svg("g", {}, path);
    const shape = look.marker === "none" ? "" : outline(look.marker, 4.2);
    const dots = Array.from({ length: shape ? marked : 0 }, () => svg("path", { class: "mb-marker", d: shape, fill: colour(role) }));
    group.append(...dots);
    view.curves.append(group);
    return {
      group,
      draw(xs, ys, offset = 0.5) {
        let text = "";
        for (let i = 0; i < xs.length; i++) {
          if (ys[i] !== null) text += `${i > 0 && ys[i - 1] !== null ? "L" : "M"}${pixel(view.x(xs[i]))} ${pixel(view.y(ys[i]))}`;
        }
        set(path, { d: text });
        dots.forEach((dot, n) => {
          const i = Math.min(xs.length - 1, Math.floor(((n + offset) / dots.length) * xs.length));
          set(dot, { transform: `translate(${pixel(view.x(xs[i]))} ${pixel(view.y(ys[i]))})`, display: ys[i] === null ? "none" : null });
        });
      },
      show(visible) { group.style.display = visible ? "" : "none"; },
    };
  }

  // ---- movable points ----------------------------------------------------------------------------------------

  // A point that pointer and keyboard move. options:
  //   role, label; x: {min, max, step}; y: the same, or null for a point that only moves sideways; an axis may have
  //   stops, the only values that it takes, in order and in place of a step
  //   move(x, y): the reader wants it there; remove(): the reader wants it gone (optional)
  //   value(): {now, text} for the screen reader; rule: true draws a vertical line through the plot
  //   mirror: true for a second picture of a point that has its keyboard access elsewhere
  function handle(view, options) {
    const node = svg("g", { class: "mb-handle" });
    if (options.mirror) set(node, { "aria-hidden": "true" });
    else set(node, { tabindex: 0, role: "slider", "aria-roledescription": "movable point" });
    const rule = options.rule ? svg("line", { class: "mb-rule", stroke: colour(options.role), "stroke-dasharray": "3 3" }) : null;
    const target = options.rule ? svg("rect", { class: "mb-target", width: 40 }) : svg("circle", { class: "mb-target", r: 20 });
    const dot = svg("circle", { class: "mb-dot", r: 6.5, fill: colour(options.role) });
    if (rule) view.marks.prepend(rule); // below the names of other marks
    node.append(target, svg("circle", { class: "mb-ring", r: 12 }), dot);
    view.handles.append(node);
    const made = { node, options, px: 0, py: 0 };

    made.place = function (x, y) {
      made.px = view.x(x);
      made.py = y === null ? view.y(view.options.y.domain[0]) : view.y(y);
      set(node, { transform: `translate(${pixel(made.px)} ${pixel(made.py)})` });
      if (rule) {
        const top = view.y(view.options.y.domain[1]) - made.py;
        set(rule, { x1: made.px, x2: made.px, y1: made.py, y2: made.py + top });
        set(target, { x: -20, y: top, height: -top + 20 });
      }
      if (!options.mirror) {
        const value = options.value();
        const across = options.y || options.x;
        set(node, { "aria-label": options.label(), "aria-valuemin": across.min, "aria-valuemax": across.max, "aria-valuenow": value.now, "aria-valuetext": value.text });
      }
    };
    made.leave = function () {
      node.remove();
      if (rule) rule.remove();
      view.held = view.held.filter((other) => other !== made);
    };
    if (!options.mirror) node.addEventListener("keydown", (event) => pressed(event, options));
    view.held.push(made);
    return made;
  }

  // Arrow keys move by a step, with Shift and with the Page keys by ten; Delete removes.
  function pressed(event, options) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const flat = !options.y;
    const by = event.shiftKey ? 10 : 1;
    const moves = {
      ArrowLeft: [-by, 0], ArrowRight: [by, 0],
      ArrowUp: flat ? [by, 0] : [0, by], ArrowDown: flat ? [-by, 0] : [0, -by],
      PageUp: flat ? [10, 0] : [0, 10], PageDown: flat ? [-10, 0] : [0, -10],
    };
    const { x, y } = options.at();
    if (moves[event.key]) {
      const [dx, dy] = moves[event.key];
      move(options, step(x, dx, options.x), flat ? null : step(y, dy, options.y));
    } else if (flat && event.key === "Home") move(options, options.x.min, null);
    else if (flat && event.key === "End") move(options, options.x.max, null);
    else if (options.remove && (event.key === "Delete" || event.key === "Backspace")) options.remove();
    else return;
    event.preventDefault();
  }

  // One or more steps along an axis; a value that a pointer left between two steps goes to a whole step.
  function step(value, steps, axis) {
    if (steps === 0) return value;
    if (axis.stops) return axis.stops[clamp(axis.stops.indexOf(nearestStop(value, axis.stops)) + steps, 0, axis.stops.length - 1)];
    return Number((Math.round(value / axis.step + steps) * axis.step).toFixed(6));
  }

  const nearestStop = (value, stops) => stops.reduce((best, stop) => (Math.abs(stop - value) < Math.abs(best - value) ? stop : best));

  function move(options, x, y) {
    const within = (value, axis) => (axis.stops ? nearestStop(value, axis.stops) : clamp(value, axis.min, axis.max));
    options.move(within(x, options.x), options.y ? within(y, options.y) : null);
  }

  function nearest(view, px, py) {
    let best = null, least = REACH * REACH;
    for (const made of view.held) {
      const across = made.px - px, up = made.options.rule ? 0 : made.py - py;
      const distance = across * across + up * up;
      if (distance <= least) { best = made; least = distance; }
    }
    return best;
  }

  // Pointer events of a plot. Points lie close together, so the nearest one is held, not the topmost; and a short
  // tap on empty space is told to view.onTap.
  function listen(view) {
    let grip = null, tap = null;
    const at = (event) => {
      const box = view.picture.getBoundingClientRect();
      return [((event.clientX - box.left) / box.width) * view.width, ((event.clientY - box.top) / box.height) * view.height];
    };
    const release = () => {
      if (grip) grip.made.node.classList.remove("mb-held");
      grip = null;
      tap = null;
    };
    view.picture.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !event.isPrimary) return;
      const [px, py] = at(event);
      const made = nearest(view, px, py);
      if (!made) {
        tap = [px, py];
        return;
      }
      // Keep the distance between finger and point, so that the point does not jump when it is taken.
      grip = { made, dx: made.px - px, dy: made.py - py };
      made.node.classList.add("mb-held");
      const focus = made.options.mirror ? made.options.mirror.node : made.node;
      focus.focus({ preventScroll: true });
      view.picture.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    view.picture.addEventListener("pointermove", (event) => {
      if (!grip) return;
      const [px, py] = at(event);
      const { options } = grip.made;
      move(options, view.toX(px + grip.dx), options.y ? view.toY(py + grip.dy) : null);
    });
    view.picture.addEventListener("pointerup", (event) => {
      const [px, py] = at(event);
      const tapped = tap && Math.hypot(px - tap[0], py - tap[1]) < 6 && view.inside(px, py);
      release();
      if (tapped && view.onTap) view.onTap(view.toX(px), view.toY(py));
    });
    view.picture.addEventListener("pointercancel", release);
    view.picture.addEventListener("dblclick", (event) => {
      const made = nearest(view, ...at(event));
      if (made && made.options.remove) made.options.remove();
    });
  }

  // ---- controls ----------------------------------------------------------------------------------------------

  // A native range input with its label and value above it.
  function slider(options) {
    const id = unique("slider");
    const value = html("span", { class: "mb-value" });
    const input = html("input", { type: "range", id, min: options.min, max: options.max, step: options.step || 1, value: options.value, "data-name": options.name });
    const format = options.format || String;
    const show = () => {
      const text = format(Number(input.value));
      value.textContent = text;
      set(input, { "aria-valuetext": text });
      input.style.setProperty("--mb-filled", `${(100 * (input.value - options.min)) / (options.max - options.min)}%`);
    };
    input.addEventListener("input", () => { show(); options.change(Number(input.value)); });
    show();
    return {
      node: html("div", { class: "mb-slider" }, html("label", { for: id }, html("span", {}, options.label), value), input),
      put(number) { input.value = number; show(); },
    };
  }

  function button(label, click, name) {
    const node = html("button", { type: "button", class: "mb-button", "data-name": name || null }, label);
    node.addEventListener("click", click);
    return node;
  }

  const buttons = (...nodes) => html("div", { class: "mb-buttons" }, ...nodes);
  const controls = (...nodes) => html("div", { class: "mb-controls" }, ...nodes);

  // entries: {role, label, toggle: shows or hides (optional), shown, dot: only the marker}
  function legend(made, entries) {
    const list = html("ul", { class: "mb-legend" });
    for (const entry of entries) {
      const content = [entry.icon || key(made.looks, entry.role, entry.dot), html("span", {}, entry.label)];
      let node = html("span", { class: "mb-entry" });
      if (entry.toggle) {
        node = html("button", { type: "button", class: "mb-entry", "aria-pressed": String(entry.shown !== false), title: "Show or hide" });
        node.addEventListener("click", () => {
          const shown = node.getAttribute("aria-pressed") !== "true";
          set(node, { "aria-pressed": String(shown) });
          entry.toggle(shown);
        });
      }
      node.append(...content);
      list.append(html("li", {}, node));
    }
    return list;
  }

  // ---- mounting ----------------------------------------------------------------------------------------------

  const kinds = {};

  // A figure's own script calls this once with a function that fills the frame.
  function define(kind, build) {
    kinds[kind] = build;
  }

  // A notebook takes keys for commands: an arrow leads to another cell, a digit makes a heading, d twice deletes. What
  // is typed into a figure stays there, but for those that run a cell or are pressed with Ctrl, Alt or Command.
  function keep(event) {
    const command = event.ctrlKey || event.metaKey || event.altKey || (event.shiftKey && event.key === "Enter");
    if (!command) event.stopPropagation();
  }

  function mount(figure) {
    const build = kinds[figure.dataset.kind];
    if (!build || figure.hasAttribute("data-mounted")) return;
    figure.setAttribute("data-mounted", ""); // from here on the live part is laid out
    // A page may show the same figure twice, and an id belongs to one element.
    if (figure.id && document.getElementById(figure.id) !== figure) figure.removeAttribute("id");
    try {
      const data = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
      const made = frame(figure, data);
      figure.addEventListener("keydown", keep);
      figure.mamlbook = { data, state: null, redraw: null };
      build(made, data);
      made.layout();
    } catch (error) {
      figure.querySelector(".mb-live").replaceChildren();
      figure.removeAttribute("data-mounted"); // the still picture stays
      console.error(error);
    }
  }

  function mountAll() {
    document.querySelectorAll("figure.mamlbook-figure").forEach(mount);
  }

  book.kit = Object.freeze({ aside, button, buttons, clamp, controls, curve, define, fixed, handle, html, key, legend, minus, mountAll, nearestStop, number, outline, paragraph, plot, plural, short, slider, svg, set, colour });
})();
