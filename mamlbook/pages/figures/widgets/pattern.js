// The reader chooses which layers of a network adapt at which inner step, and sees the fit, the errors and the work.
(function () {
  "use strict";
  const book = window.mamlbook, kit = book.kit;
  if (book.pattern) return;

  const LOW = -5, HIGH = 5, TOP = 5.5; // the plot: x in [-5, 5], y in [-5.5, 5.5]
  const GRID = Float64Array.from({ length: 101 }, (_, i) => LOW + ((HIGH - LOW) * i) / 100);

  // include network

  // ---- steps that adapt some layers ---------------------------------------------------------------------------

  // A step of all layers, of which those that do not adapt keep nothing. A layer is two arrays, weight and bias.
  function step(phi, points, alpha, adapts, hidden) {
    const next = copy(phi);
    descend(next, points, alpha, hidden);
    return next.map((array, k) => (adapts[Math.floor(k / 2)] ? array : phi[k]));
  }

  // The weights after 0, 1, ..., S steps.
  function path(start, points, alpha, mask) {
    const found = [copy(start)], hidden = scratch(start);
    for (const adapts of mask) found.push(step(found.at(-1), points, alpha, adapts, hidden));
    return found;
  }

  // What a layer does in a step: it adapts, or the gradient passes through it to a lower one, or it is not reached.
  function part(adapts, layer) {
    if (adapts[layer]) return "adapts";
    return adapts.indexOf(true) >= 0 && adapts.indexOf(true) < layer ? "passes" : "rests";
  }

  // Multiplications of a step, for one point: forward through every layer, the gradient by what a layer receives for
  // all above the lowest that adapts, the gradient by its weights for those that adapt. Each costs as many as the
  // layer has weights.
  function work(adapts, sizes) {
    const lowest = adapts.indexOf(true);
    return sizes.reduce((sum, size, layer) => sum + size * (1 + (lowest >= 0 && layer > lowest) + adapts[layer]), 0);
  }

  function errors(phis, points, truth) {
    const outputs = phis.map((phi) => predict(phi, GRID));
    return { outputs, support: phis.map((phi) => error(phi, points)), query: outputs.map((ys) => squaredGap(ys, truth)) };
  }

  // Everything that the figure shows, from the data and a state {wave, mask}.
  function compute({ start, alpha, waves, sizes }, { wave, mask }) {
    const { amplitude, phase, places } = waves[wave];
    const on = (x) => amplitude * Math.sin(x - phase);
    const points = places.map((x) => [x, on(x)]), truth = GRID.map(on);
    const phis = path(start, points, alpha, mask), everything = sizes.map(() => true);
    const every = phis.map((_, s) => adapt(start, points, alpha, s));
    const steps = mask.map((adapts) => work(adapts, sizes) * points.length);
    return {
      points, truth, phis, ...errors(phis, points, truth), every: errors(every, points, truth),
      work: { steps, one: work(everything, sizes) * points.length, total: steps.reduce((sum, n) => sum + n, 0) },
    };
  }

  // ---- what the figure says ----------------------------------------------------------------------------------

  const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

  // A part that is saved, in percent.
  function percent(part) {
    const value = 100 * part;
    return value === 0 || value > 9.95 ? `${Math.round(value)}%` : `${value.toFixed(1)}%`;
  }

  function say(frame, data, state, now) {
    const { step: s, mask } = state, all = mask.every((adapts) => !adapts.includes(false));
    const query = kit.number(frame, kit.short(now.query[s]), "query"), support = kit.number(frame, kit.short(now.support[s]), "support");
    const when = s === 0 ? "Before any step" : `After ${kit.plural(s, "step", "steps")} ${all ? "that adapt every layer" : "with this pattern"}`;
    const rest = [], versus = s > 0 && !all;
    if (versus) rest.push(` With every layer adapting: ${kit.short(now.every.query[s])} and ${kit.short(now.every.support[s])}.`);
    if (s > 0) rest.push(` Before any step: ${kit.short(now.query[0])} and ${kit.short(now.support[0])}.`);
    const most = now.work.one * mask.length, { total } = now.work, steps = `The ${kit.plural(mask.length, "step takes", "steps take")}`;
    const costs = total === most ? `${steps} ${kit.short(total)} multiplications.` : `${steps} ${kit.short(total)} multiplications instead of ${kit.short(most)}: ${percent(1 - total / most)} saved.`;
    const idle = mask.map((adapts, i) => (adapts.includes(true) ? 0 : i + 1)).filter(Boolean);
    if (idle.length === mask.length) rest.push(" Nothing adapts, so every wave gets the same curve.");
    else if (idle.length > 0) rest.push(` Nothing adapts at step ${idle.join(", ")}, which leaves the curve as it is.`);
    frame.say(
      kit.paragraph(`${when}, the mean squared error is `, query, " on the whole wave and ", support, " on the support points.", ...rest),
      kit.paragraph(costs),
    );
  }

  // ---- the grid of toggles -----------------------------------------------------------------------------------

  const MARKS = { adapts: "M-5 0.5L-1.5 4L5 -4", passes: "M0 -5V5M-4 1L0 5L4 1", rests: "" };
  const WORDS = { adapts: "adapts", passes: "stays, the gradient passes through", rests: "stays, the gradient does not reach it" };
  const mark = () => kit.svg("svg", { width: 16, height: 16, viewBox: "-8 -8 16 16", "aria-hidden": "true" }, kit.svg("path", { class: "mb-mark" }));

  function dress(node, state) {
    kit.set(node, { "data-state": state });
    kit.set(node.querySelector("path"), { d: MARKS[state] });
    return node;
  }

  const swatch = (state) => dress(kit.html("span", { class: "mb-swatch", "aria-hidden": "true" }, mark()), state);

  // Rows are the layers, the last on top as the gradient meets them; columns are the steps. toggle(layers, steps) is
  // called with the numbers that a button stands for.
  function toggles(data, hint, toggle) {
    const layers = data.layers.map((_, i) => i).reverse(), steps = data.first.mask.map((_, i) => i);
    const pressable = (name, text, those) => {
      const node = kit.html("button", { type: "button", tabindex: -1, "data-name": name }, text);
      node.addEventListener("click", () => { focus(node); toggle(...those); });
      return node;
    };
    const cells = layers.map((l) => steps.map((s) => kit.set(pressable(`${data.layers[l]}-${s + 1}`, mark(), [[l], [s]]), { class: "mb-cell" })));
    const tops = steps.map((s) => kit.set(pressable(`step-${s + 1}`, String(s + 1), [layers, [s]]), { "aria-label": `Switch every layer at step ${s + 1}` }));
    const sides = layers.map((l) => kit.set(pressable(`layer-${data.layers[l]}`, data.layers[l], [[l], steps]), { "aria-label": `Switch ${data.layers[l]} at every step` }));
    const spared = steps.map(() => kit.html("div", { role: "gridcell" }));
    const row = (...nodes) => kit.html("div", { class: "mb-row", role: "row" }, ...nodes);
    const within = (role) => (node) => kit.html("div", { role }, node);
    const node = kit.html("div", { class: "mb-grid-of-layers", role: "grid", "aria-label": "Which layers adapt at which inner step", "aria-describedby": hint, style: `--mb-steps: ${steps.length}` },
      row(kit.html("div", { role: "columnheader" }, "step"), ...tops.map(within("columnheader"))),
      ...layers.map((_, r) => row(within("rowheader")(sides[r]), ...cells[r].map(within("gridcell")))),
      row(kit.html("div", { role: "rowheader" }, "work saved"), ...spared));

    // One stop for the Tab key; from there the arrow keys lead on.
    const places = [[null, ...tops], ...layers.map((_, r) => [sides[r], ...cells[r]])];
    let held = kit.set(cells[0][0], { tabindex: 0 });
    function focus(next) {
      kit.set(held, { tabindex: -1 });
      held = kit.set(next, { tabindex: 0 });
      held.focus({ preventScroll: true });
    }
    node.addEventListener("keydown", (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
      const r = places.findIndex((line) => line.includes(held)), c = places[r].indexOf(held), last = steps.length;
      const to = { ArrowUp: [r - 1, c], ArrowDown: [r + 1, c], ArrowLeft: [r, c - 1], ArrowRight: [r, c + 1], Home: [r, r > 0 ? 0 : 1], End: [r, last] }[event.key];
      if (!to) return;
      event.preventDefault();
      const next = (places[to[0]] || [])[to[1]];
      if (next) focus(next);
    });

    return {
      node,
      draw(mask, { steps: work, one }) {
        layers.forEach((l, r) => steps.forEach((s) => {
          const state = part(mask[s], l);
          kit.set(dress(cells[r][s], state), { "aria-pressed": String(mask[s][l]), "aria-label": `${data.layers[l]}, step ${s + 1}: ${WORDS[state]}` });
        }));
        spared.forEach((cell, s) => { cell.textContent = percent(1 - work[s] / one); });
      },
    };
  }

  // ---- the figure --------------------------------------------------------------------------------------------

  function plots(frame, data) {
    const steps = data.first.mask.map((_, s) => s + 1), room = 0.03 * steps.length;
    const fit = kit.plot(frame, {
      x: { domain: [LOW, HIGH], ticks: [-4, -2, 0, 2, 4], label: "x" },
      y: { domain: [-TOP, TOP], ticks: [-4, -2, 0, 2, 4], label: "y" },
      height: (width) => Math.round(kit.clamp(width * 0.75, 230, 310)), label: "The wave, its support points, and what the network makes of them",
    });
    const course = kit.plot(frame, {
      margin: { left: 44 }, x: { domain: [-room, steps.length + room], ticks: [0, ...steps], label: "inner steps taken" },
      y: { log: true, label: "mean squared error", ...data.axis },
      height: (width) => Math.round(kit.clamp(width * 0.3, 190, 240)), label: "Error on the whole wave and on the support points after every step",
    });
    course.picture.classList.add("mb-tappable");
    return { fit, course };
  }

  // The sign of a thin curve.
  function thinKey(role) {
    const dash = { theta: "3 3" }[role] || null;
    const line = kit.svg("path", { d: "M1 6H29", stroke: "var(--mb-muted)", "stroke-width": 1.25, "stroke-dasharray": dash });
    return kit.svg("svg", { class: "mb-key", width: 30, height: 12, "aria-hidden": "true" }, line);
  }

  // Every curve under the name of its entry in the legend.
  function drawn(fit, course, steps) {
    const thin = { every: kit.curve(fit, "maml", { faint: true }), support: kit.curve(course, "support", { faint: true }), query: kit.curve(course, "query", { faint: true }) };
    const truth = kit.curve(fit, "truth"), start = kit.curve(fit, "theta", { faint: true }), bold = kit.curve(fit, "maml", { marked: 5 });
    const support = kit.curve(course, "support", { marked: steps.length }), query = kit.curve(course, "query", { marked: steps.length });
    return {
      named: { pattern: [bold], every: Object.values(thin), theta: [start], truth: [truth], support: [support], query: [query] },
      draw(now, s) {
        truth.draw(GRID, now.truth);
        start.draw(GRID, now.outputs[0]);
        thin.every.draw(GRID, now.every.outputs[s]);
        bold.draw(GRID, now.outputs[s]);
        support.draw(steps, now.support);
        query.draw(steps, now.query);
        for (const kind of ["support", "query"]) thin[kind].draw(steps, now.every[kind]);
      },
    };
  }

  // The support points of the wave.
  function dots(view) {
    const group = kit.svg("g", {});
    view.marks.append(group);
    return (points) => group.replaceChildren(...points.map(([x, y]) => kit.svg("circle", { class: "mb-marker", r: 5, fill: kit.colour("support"), cx: view.x(x), cy: view.y(y) })));
  }

  function build(frame, data) {
    const copyOf = ({ wave, step, mask }) => ({ wave, step, mask: mask.map((adapts) => adapts.slice()) });
    const state = copyOf(data.first), S = state.mask.length, steps = Array.from({ length: S + 1 }, (_, s) => s);
    const { fit, course } = plots(frame, data), curves = drawn(fit, course, steps), placed = dots(fit);
    const hint = kit.html("p", { class: "mb-hint", id: `${frame.says.id}-hint` }, "Tap a square; the name of a layer or the number of a step switches its whole line. On a keyboard, arrows move and Space switches.");

    function change(what) {
      Object.assign(state, what);
      redraw();
    }

    // What several squares stand for is switched off only where all are on.
    function toggle(layers, those) {
      const on = !those.every((s) => layers.every((l) => state.mask[s][l]));
      change({ mask: state.mask.map((adapts, s) => (those.includes(s) ? adapts.map((old, l) => (layers.includes(l) ? on : old)) : adapts)) });
    }

    const grid = toggles(data, hint.id, toggle);
    const presets = data.presets.map(({ name, label, mask }) => ({ mask, node: kit.button(label, () => change(copyOf({ ...state, mask })), name) }));
    const sliders = {
      wave: kit.slider({ label: "Wave", name: "wave", min: 0, max: data.waves.length - 1, value: state.wave, format: (i) => `${i + 1} of ${data.waves.length}`, change: (wave) => change({ wave }) }),
      step: kit.slider({ label: "Shown after step", name: "step", min: 0, max: S, value: state.step, change: (s) => change({ step: s }) }),
    };
    const toStep = (x) => change({ step: kit.nearestStop(x, steps) });
    // The slider is this rule's access by keyboard.
    const cut = kit.handle(course, {
      role: "theta", rule: true, x: { min: 0, max: S, stops: steps }, y: null,
      mirror: { node: sliders.step.node.querySelector("input") }, move: toStep,
    });
    course.onTap = toStep;

    function redraw() {
      const now = compute(data, state);
      grid.draw(state.mask, now.work);
      for (const { mask, node } of presets) kit.set(node, { "aria-pressed": String(same(mask, state.mask)) });
      curves.draw(now, state.step);
      placed(now.points);
      cut.place(state.step, null);
      for (const [name, slider] of Object.entries(sliders)) slider.put(state[name]);
      say(frame, data, state, now);
      frame.figure.mamlbook.values = now;
    }

    const entry = (name, role, label, icon) => ({ role, label, icon, toggle: (shown) => curves.named[name].forEach((curve) => curve.show(shown)) });
    const states = kit.legend(frame, [["adapts", "adapts"], ["passes", "gradient passes"], ["rests", "not reached"]].map(([name, label]) => ({ icon: swatch(name), label })));
    frame.live.append(
      kit.buttons(...presets.map(({ node }) => node)),
      kit.html("div", { class: "mb-beside" }, kit.html("div", { class: "mb-choice" }, grid.node, states, hint), fit.holder),
      kit.legend(frame, [
        entry("pattern", "maml", "This pattern"), entry("every", "maml", "Every layer adapts", thinKey()), entry("theta", "theta", "Before any step", thinKey("theta")),
        entry("truth", "truth", "True wave"), { role: "support", label: "Support points", dot: true },
      ]),
      kit.legend(frame, [entry("query", "query", "Error on the whole wave"), entry("support", "support", "Error on the support points")]),
      course.holder,
      kit.controls(sliders.wave.node, sliders.step.node),
      kit.buttons(kit.button("Reset", () => change(copyOf(data.first)), "reset")),
      frame.says,
    );
    frame.onWidth(() => {
      fit.layout(fit.holder.clientWidth || fit.width); // beside the grid where there is room
      redraw();
    });
    frame.figure.mamlbook.state = state;
    frame.figure.mamlbook.redraw = redraw;
  }

  book.pattern = Object.freeze({ compute, path, work });
  kit.define("pattern", build);
})();
