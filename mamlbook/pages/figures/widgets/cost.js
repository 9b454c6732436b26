// What a meta-step costs: arithmetic by formula, bytes as counted, times as measured, and the limit below them.
(function () {
  "use strict";
  const book = window.mamlbook, kit = book.kit;
  if (book.cost) return;

  const POINTS = 10; // examples in each set
  // For one task and S steps: gradients, Hessian-vector products, and forward passes that have no backward pass.
  const WORK = {
    maml: (S) => [S + 1, S, 0],
    checkpointed: (S) => [2 * S + 1, S, 1],
    truncated: (S) => [S + 1, 1, 0],
    imaml: (S) => [S + 2, 5, 0],
    fomaml: (S) => [S + 1, 0, 0],
    reptile: (S) => [S, 0, 1],
  };

  // Operations of the matrix products in a network 1-n-n-1. Backward every product costs two, or one where a factor is
  // the data; and the same holds for going back through a gradient.
  function units(n) {
    const forward = 2 * POINTS * (n * n + 2 * n), gradient = 3 * forward - 2 * POINTS * n;
    return { forward, gradient, product: 2 * gradient - 4 * POINTS * n };
  }

  // What Python measured nearest to these steps and tasks, or null where it did not time the method.
  function nearest(workloads, { method, steps, tasks }) {
    const away = (one) => Math.abs(Math.log2(one.steps / steps)) + Math.abs(Math.log2(one.tasks / tasks));
    return workloads.filter((one) => one.method === method).reduce((best, one) => (best && away(best) <= away(one) ? best : one), null);
  }

  function compute(data, state) {
    const { method, steps, tasks, width } = state, unit = units(width);
    const [gradients, products, forwards] = WORK[method](steps);
    const each = gradients * unit.gradient + products * unit.product + forwards * unit.forward;
    const operations = each * tasks, measured = nearest(data.workloads, state);
    const peak = data.peaks[method][width][data.steps.indexOf(steps)] * tasks;
    return { gradients, products, work: each / unit.gradient, operations, peak, limit: operations / data.gflops / 1e6, measured };
  }

  const scaled = (value, units) => {
    let i = 0;
    while (value >= 999.5 && i < units.length - 1) { value /= 1000; i++; }
    return `${value.toPrecision(3)} ${units[i]}`;
  };
  const bytes = (value) => scaled(value, ["bytes", "kB", "MB", "GB"]);
  const time = (ms) => (ms < 0.9995 ? `${(ms * 1000).toPrecision(3)} µs` : scaled(ms, ["ms", "s"]));
  const counts = (S, tasks) => `${kit.plural(S, "step", "steps")}, ${kit.plural(tasks, "task", "tasks")}`;

  function say(frame, { names, gflops }, state, now) {
    const name = names[state.method], of = `${kit.plural(now.gradients, "gradient", "gradients")}${now.products ? ` and ${kit.plural(now.products, "Hessian-vector product", "Hessian-vector products")}` : ""}`;
    const first = kit.paragraph(kit.html("strong", {}, `${name}, ${counts(state.steps, state.tasks)}, width ${state.width}: `),
      `${of} for each task, the work of `, kit.number(frame, now.work.toFixed(1)), " plain gradients. For the meta-step ",
      kit.number(frame, scaled(now.operations, ["operations", "thousand operations", "million operations", "billion operations"])),
      " and ", kit.number(frame, bytes(now.peak)), " at the fullest moment.");
    const limit = `At ${gflops} billion operations a second, the limit of the thread that was measured, it takes ${time(now.limit)} or more.`;
    if (!now.measured) return frame.say(first, kit.aside(limit, " The stored benchmark does not time this method."));
    const { steps, tasks, times } = now.measured;
    const told = times.map(([who, ms]) => `${who} ${time(ms)}`).join(", ");
    frame.say(first, kit.aside(limit, ` The nearest that was timed, ${name} with ${counts(steps, tasks)}, width 40: ${told}.`));
  }

  // The largest of 1, 2 and 5 times a power of ten that goes into the value at least twice.
  function tick(value) {
    const power = 10 ** Math.floor(Math.log10(value / 2));
    return power * [5, 2, 1].find((part) => part * power <= value / 2);
  }

  // Measured times as points on a logarithmic axis, one row each with its name above it, and the limit.
  function rows(frame) {
    const picture = kit.svg("svg", { role: "group", "aria-label": "Measured times and the limit", "aria-describedby": frame.says.id });
    const holder = kit.html("div", { class: "mb-plot" }, picture);
    function draw(measured, role, gflops, width) {
      holder.style.display = measured ? "" : "none";
      if (!measured) return;
      const { times, flops } = measured, limit = flops / gflops / 1e6, low = Math.floor(Math.log10(limit)), high = Math.ceil(Math.log10(Math.max(limit, ...times.map(([, ms]) => ms)) * 1.5));
      const left = 16, right = width - 70, row = 40, top = 26, bottom = top + row * times.length;
      const x = (ms) => left + ((Math.log10(ms) - low) / (high - low)) * (right - left);
      const parts = kit.svg("g", { "aria-hidden": "true" }, kit.svg("text", { class: "mb-axis-label", x: 0, y: 13 }, "milliseconds, measured; dotted: the limit"));
      for (let power = low; power <= high; power++) {
        const at = x(10 ** power);
        parts.append(kit.svg("line", { class: "mb-grid", x1: at, x2: at, y1: top, y2: bottom }), kit.svg("text", { x: at, y: bottom + 17, "text-anchor": "middle" }, String(Number((10 ** power).toPrecision(1)))));
      }
      parts.append(kit.svg("line", { x1: x(limit), x2: x(limit), y1: top - 4, y2: bottom, stroke: kit.colour("text"), "stroke-width": 2, "stroke-dasharray": "3 3" }));
      times.forEach(([who, ms], i) => {
        const y = top + row * i + 27;
        parts.append(
          kit.svg("line", { x1: x(limit), x2: x(ms), y1: y, y2: y, stroke: kit.colour(role), "stroke-width": 2.5 }),
          kit.svg("path", { d: kit.outline("circle", 5), transform: `translate(${x(ms).toFixed(1)} ${y})`, fill: kit.colour(role), class: "mb-marker" }),
          kit.svg("text", { class: "mb-axis-label mb-halo", x: x(limit) + 7, y: y - 10 }, who),
          kit.svg("text", { class: "mb-halo", x: x(ms) + 10, y: y + 4 }, time(ms)));
      });
      kit.set(picture, { viewBox: `0 0 ${width} ${bottom + 24}`, height: bottom + 24 }).replaceChildren(parts);
    }
    return { holder, draw };
  }

  function build(frame, data) {
    const state = { ...data.first }, shown = {};
    const last = data.steps[data.steps.length - 1];
    const memory = kit.plot(frame, {
      margin: { left: 46 }, label: "Memory at the fullest moment over the inner steps",
      x: { domain: [0, last], ticks: [1, 16, 32, 48, 64].filter((t) => t <= last), label: "inner steps S" },
      y: { domain: [0, 1], ticks: [0], label: "" }, height: (width) => Math.round(kit.clamp(width * 0.42, 220, 290)),
    });
    const curves = Object.fromEntries(data.methods.map((name) => [name, kit.curve(memory, data.roles[name], { marked: 4 })]));
    const times = rows(frame);
    const put = (change) => { Object.assign(state, change); redraw(); };
    const axis = { min: data.steps[0], max: last, stops: data.steps };
    const point = kit.handle(memory, {
      role: "theta", rule: true, x: axis, y: null, label: () => "Inner steps",
      at: () => ({ x: state.steps, y: null }), value: () => ({ now: state.steps, text: kit.plural(state.steps, "step", "steps") }),
      move: (x) => { sliders.steps.put(data.steps.indexOf(x)); put({ steps: x }); },
    });
    const sliders = {};
    for (const [name, label] of [["steps", "Inner steps S"], ["tasks", "Tasks B"], ["widths", "Width of the network"]]) {
      const stops = data[name], key = name === "widths" ? "width" : name;
      sliders[name] = kit.slider({ label, name: key, min: 0, max: stops.length - 1, value: stops.indexOf(state[key]), format: (i) => String(stops[i]), change: (i) => put({ [key]: stops[i] }) });
    }
    const buttons = data.methods.map((name) => kit.button(data.names[name], () => put({ method: name }), name));

    function redraw() {
      const now = compute(data, state);
      const of = (name) => data.peaks[name][state.width].map((peak) => peak * state.tasks);
      const top = Math.max(...data.methods.flatMap(of)), [unit, word] = top >= 1e6 ? [1e6, "MB"] : [1e3, "kB"];
      const step = tick(top / unit), y = memory.options.y;
      y.ticks = Array.from({ length: Math.floor(top / unit / step) + 1 }, (_, i) => Number((i * step).toPrecision(2)));
      y.domain = [0, (top / unit) * 1.06];
      y.label = `${word} at the fullest moment`;
      memory.layout(memory.width);
      for (const name of data.methods) curves[name].draw(data.steps, of(name).map((peak) => peak / unit));
      point.place(state.steps, null);
      buttons.forEach((node, i) => kit.set(node, { "aria-pressed": String(data.methods[i] === state.method) }));
      times.draw(now.measured, data.roles[state.method], data.gflops, memory.width);
      say(frame, data, state, now);
      frame.figure.mamlbook.values = now;
    }

    const legend = data.methods.map((name) => ({ role: data.roles[name], label: data.names[name], toggle: (on) => curves[name].show(on) }));
    frame.live.append(
      kit.buttons(...buttons), kit.legend(frame, legend), memory.holder, times.holder,
      kit.controls(...Object.values(sliders).map((one) => one.node)), frame.says,
    );
    frame.onWidth(redraw);
    frame.figure.mamlbook.state = state;
    frame.figure.mamlbook.redraw = redraw;
  }

  book.cost = Object.freeze({ compute, units });
  kit.define("cost", build);
})();
