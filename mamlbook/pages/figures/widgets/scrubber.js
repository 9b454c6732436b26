// The starts of whole meta-trainings: each adapts, in the page, to a wave that the reader chooses, and is measured.
(function () {
  "use strict";
  const book = window.mamlbook, kit = book.kit;
  if (book.scrubber) return;

  const LOW = -5, HIGH = 5, TOP = 5.5; // the wave's plot: x in [-5, 5], y in [-5.5, 5.5]
  const GRID = Float64Array.from({ length: 101 }, (_, i) => LOW + ((HIGH - LOW) * i) / 100); // the query points too
  const SIZES = [40, 40, 1600, 40, 40, 1];
  const FRAME = 160; // milliseconds that a start is shown while the training plays

  // include network

  // ---- the starts ----------------------------------------------------------------------------------------------

  // Of every start and every one of its six parameters: whole numbers of a byte, as multiples of a unit of its own.
  function decoded(text, units) {
    const bytes = atob(text);
    let at = 0;
    return units.map((own) => own.map((unit, n) => Float64Array.from({ length: SIZES[n] }, () => unit * (((bytes.charCodeAt(at++) + 128) & 255) - 128))));
  }

  // ---- what a start has ----------------------------------------------------------------------------------------

  function gradient(theta, points) {
    const found = theta.map((array) => new Float64Array(array.length)), hidden = scratch(theta);
    for (const [x, y] of points) backward(theta, found, x, (2 * (forward(theta, x, hidden) - y)) / points.length, hidden);
    return found;
  }

  const inner = (a, b) => a.reduce((sum, array, n) => array.reduce((all, value, i) => all + value * b[n][i], sum), 0);

  // v^T H v of the mean squared error: its second derivative along v, carried through the network with the first one.
  function bent([w1, b1, w2, b2, w3, b3], [v1, c1, v2, c2, v3, c3], points) {
    const width = b1.length, first = new Float64Array(width), moved = new Float64Array(width);
    let total = 0;
    for (const [x, y] of points) {
      for (let j = 0; j < width; j++) {
        const z = w1[j] * x + b1[j];
        first[j] = Math.max(0, z);
        moved[j] = z > 0 ? v1[j] * x + c1[j] : 0;
      }
      let output = b3[0], once = c3[0], twice = 0;
      for (let i = 0; i < b2.length; i++) {
        let z = b2[i], dz = c2[i], ddz = 0;
        for (let j = 0; j < width; j++) {
          const at = i * width + j;
          z += w2[at] * first[j];
          dz += v2[at] * first[j] + w2[at] * moved[j];
          ddz += 2 * v2[at] * moved[j];
        }
        if (!(z > 0)) continue;
        output += w3[i] * z;
        once += v3[i] * z + w3[i] * dz;
        twice += 2 * v3[i] * dz + w3[i] * ddz;
      }
      total += 2 * once * once + 2 * (output - y) * twice;
    }
    return total / points.length;
  }

  // On a wave: the outputs and the query loss after 0, 1, ..., S steps, the curvature along the first one, alpha
  // included, and how far the gradients of support and query agree.
  function measured(theta, support, query, alpha, steps) {
    const phi = copy(theta), hidden = scratch(theta), places = query.map(([x]) => x), outputs = [], loss = [];
    for (let s = 0; s <= steps; s++) {
      if (s) descend(phi, support, alpha, hidden);
      outputs.push(predict(phi, places));
      loss.push(query.reduce((sum, [, y], i) => sum + (outputs[s][i] - y) ** 2, 0) / query.length);
    }
    const g = gradient(theta, support), other = gradient(theta, query), length = inner(g, g);
    return { outputs, loss, curvature: (alpha * bent(theta, g, support)) / length, agreement: (2 * inner(g, other)) / (length + inner(other, other)) };
  }

  // ---- the reader's wave -----------------------------------------------------------------------------------------

  const wave = (state, x) => state.amplitude * Math.sin(x - state.phase);
  const onWave = (state) => state.places.map((x) => [x, wave(state, x)]);

  function first({ first }) {
    const state = { start: first.start, steps: first.steps, amplitude: first.amplitude, phase: first.phase, places: first.places.slice() };
    return { ...state, points: onWave(state) };
  }

  function compute(data, starts, state) {
    const query = Array.from(GRID, (x) => [x, wave(state, x)]), found = {};
    for (const name in starts) found[name] = measured(starts[name][state.start], state.points, query, data.alpha, state.steps);
    return found;
  }

  // ---- what the figure draws ---------------------------------------------------------------------------------------

  const visible = (node, shown) => { node.style.display = shown ? "" : "none"; };

  // The curve of the shown training over the range of all seeds, and a mark for the reader's own wave.
  function course(view, role) {
    const band = kit.svg("path", { fill: kit.colour(role), "fill-opacity": 0.16 });
    view.curves.prepend(band);
    const line = kit.curve(view, role);
    const corner = (x, y) => `${view.x(x).toFixed(1)} ${kit.clamp(view.y(y), -9999, 9999).toFixed(1)}`;
    return {
      draw(xs, own, lows, highs) {
        line.draw(xs, own);
        const back = Array.from(xs, (x, i) => corner(x, lows[i])).reverse();
        kit.set(band, { d: `M${[...Array.from(xs, (x, i) => corner(x, highs[i])), ...back].join("L")}Z` });
      },
      show(shown) { line.show(shown); visible(band, shown); },
    };
  }

  function mark(view, role) {
    const node = kit.svg("path", { class: "mb-marker", d: kit.outline(view.made.looks[role].marker, 5), fill: kit.colour(role) });
    const group = kit.svg("g", { "clip-path": `url(#${view.clip})` }, node);
    view.marks.append(group);
    return {
      put(x, y) { kit.set(node, { transform: `translate(${view.x(x).toFixed(1)} ${kit.clamp(view.y(y), -9999, 9999).toFixed(1)})` }); },
      show(shown) { visible(group, shown); },
    };
  }

  const GAP = 24, LEAST = 300; // pixels: two columns stand side by side where each has this width
  const MARGIN = { left: 34, right: 16 };

  function plots(frame, data, times, steps) {
    const wide = (width) => width >= 2 * LEAST + GAP;
    const part = { ...frame, onWidth: (callback) => frame.onWidth((width) => callback(wide(width) ? (width - GAP) / 2 : width)) };
    const low = (labelled) => (width) => (width < 350 ? 102 : 122) + (labelled ? 22 : 0);
    const ticks = data.ticks.map((step) => Math.log10(1 + step));
    const over = (label, domain, marks, last) => kit.plot(part, {
      margin: { ...MARGIN, top: 20, bottom: last ? 38 : 16 }, height: low(last),
      x: { domain: [times[0], times.at(-1)], ticks, text: (tick) => Math.round(10 ** tick - 1).toLocaleString("en"), labels: last, label: last ? "meta-step" : "" },
      y: { domain, ticks: marks, label }, label: `${label}, over meta-training`,
    });
    const fit = kit.plot(part, {
      margin: { ...MARGIN, bottom: 38 }, height: (width) => (width < 350 ? 218 : 272),
      x: { domain: [LOW, HIGH], ticks: [-4, -2, 0, 2, 4], label: "x" }, y: { domain: [-TOP, TOP], ticks: [-4, 0, 4], label: "y" },
      label: "Plot of the wave with movable points",
    });
    const each = kit.plot(part, {
      margin: { ...MARGIN, top: 20, bottom: 38 }, height: low(true),
      x: { domain: [-0.3, data.steps + 0.3], ticks: steps, label: "inner steps" }, y: { domain: [0, data.top], ticks: [0, 2, 4], label: "error after each inner step" },
      label: "Error after each inner step, at this start",
    });
    const loss = over("error before, and after the steps", [0, data.top], [0, 2, 4], false);
    const curvature = over("α × curvature along the gradient", [0, data.bend], data.bends, false);
    const agreement = over("agreement of support and query gradient", data.agree, [0, 0.5, 1], true);
    for (const view of [each, loss, curvature, agreement]) view.picture.classList.add("mb-tappable");
    const column = (...views) => kit.html("div", { style: `flex:1 1 ${LEAST}px;min-width:0` }, ...views.map((view) => view.holder));
    const holder = kit.html("div", { style: `display:flex;flex-wrap:wrap;gap:0 ${GAP}px` }, column(fit, each), column(loss, curvature, agreement));
    return { fit, each, loss, curvature, agreement, holder };
  }

  const two = (value) => kit.fixed(value, 2);

  function say(frame, data, state, found) {
    const names = Object.keys(found), last = names.length - 1;
    const joined = (parts) => parts.flatMap((part, i) => [i === 0 ? "" : i === last ? " and " : ", ", ...part]);
    const fell = names.map((name) => [`from `, kit.number(frame, kit.short(found[name].loss[0]), name), ` to `, kit.number(frame, kit.short(found[name].loss[state.steps])), ` (${data.names[name]})`]);
    const list = (quantity) => names.map((name) => `${two(found[name][quantity])} (${data.names[name]})`).join(", ");
    const when = `After ${kit.plural(data.at[state.start].toLocaleString("en"), "meta-step", "meta-steps")}, ${kit.plural(state.steps, "inner step takes", "inner steps take")} the error on your wave `;
    frame.say(kit.paragraph(when, ...joined(fell), "."), kit.aside(`On your wave: α times the curvature ${list("curvature")}; agreement of the gradients ${list("agreement")}.`));
  }

  // ---- the figure --------------------------------------------------------------------------------------------------

  function build(frame, data) {
    const names = Object.keys(data.starts), state = first(data), steps = Array.from({ length: data.steps + 1 }, (_, s) => s);
    const starts = Object.fromEntries(names.map((name) => [name, decoded(data.starts[name], data.units[name])]));
    const times = data.at.map((step) => Math.log10(1 + step)), last = times.length - 1, backwards = names.slice().reverse();
    const view = plots(frame, data, times, steps), shown = { truth: true, before: true };
    for (const name of names) shown[name] = true;

    const truth = kit.curve(view.fit, "truth");
    const drawn = (make) => Object.fromEntries(backwards.map((name) => [name, make(name)])); // the first on top
    const before = drawn((name) => [view.fit, view.loss].map((plot) => kit.curve(plot, name, { faint: true })));
    const after = drawn((name) => kit.curve(view.fit, name, { marked: 5 }));
    const each = drawn((name) => kit.curve(view.each, name, { marked: steps.length }));
    const OVER = ["loss", "curvature", "agreement"];
    const courses = drawn((name) => OVER.map((quantity) => course(view[quantity], name)));
    const marks = drawn((name) => OVER.map((quantity) => mark(view[quantity], name)));

    const sliders = {};
    const add = (name, label, max, min, step, format) => {
      sliders[name] = kit.slider({ name, label, min, max, step, value: state[name], format, change: (value) => { stop(); apply({ [name]: value }); } });
    };
    add("start", "Meta-step", last, 0, 1, (i) => data.at[i].toLocaleString("en"));
    add("steps", "Inner steps", data.steps, 0, 1, String);
    add("amplitude", "Amplitude of your wave", 5, 0.1, 0.1, (value) => kit.fixed(value, 1));
    add("phase", "Phase of your wave", 3.1, 0, 0.1, (value) => kit.fixed(value, 1));
    // The sliders are these rules' access by keyboard.
    const rule = (plot, name, stops, move) => {
      const made = kit.handle(plot, { role: "theta", rule: true, x: { min: stops[0], max: stops.at(-1), stops }, y: null, mirror: { node: sliders[name].node.querySelector("input") }, move });
      plot.onTap = (x) => move(kit.nearestStop(x, stops));
      return made;
    };
    const toStart = (x) => { stop(); apply({ start: times.indexOf(x) }); };
    const cuts = OVER.map((quantity) => rule(view[quantity], "start", times, toStart));
    const cut = rule(view.each, "steps", steps, (x) => apply({ steps: x }));
    const handles = state.points.map((_, i) => kit.handle(view.fit, {
      role: "support", x: { min: LOW, max: HIGH, step: 0.1 }, y: { min: -TOP, max: TOP, step: 0.1 },
      label: () => `Point ${i + 1} of ${state.points.length}`,
      at: () => ({ x: state.points[i][0], y: state.points[i][1] }),
      value: () => ({ now: Number(state.points[i][1].toFixed(2)), text: `x ${kit.fixed(state.points[i][0], 1)}, y ${kit.fixed(state.points[i][1], 1)}` }),
      move: (x, y) => { state.points[i] = [x, y]; redraw(); },
    }));

    function redraw() {
      const found = compute(data, starts, state), at = times[state.start];
      truth.draw(GRID, Array.from(GRID, (x) => wave(state, x)));
      names.forEach((name, i) => {
        const { own, lows, highs } = data.curves[name];
        before[name][0].draw(GRID, found[name].outputs[0]);
        before[name][1].draw(times, own.loss.map((row) => row[0]));
        after[name].draw(GRID, found[name].outputs[state.steps], 0.35 + 0.3 * i);
        each[name].draw(steps, own.loss[state.start]);
        const of = (rows, quantity) => (quantity === "loss" ? rows.loss.map((row) => row[state.steps]) : rows[quantity]);
        OVER.forEach((quantity, n) => {
          courses[name][n].draw(times, of(own, quantity), of(lows, quantity), of(highs, quantity));
          marks[name][n].put(at, quantity === "loss" ? found[name].loss[state.steps] : found[name][quantity]);
        });
      });
      handles.forEach((made, i) => made.place(...state.points[i]));
      for (const made of cuts) made.place(at, null);
      cut.place(state.steps, null);
      say(frame, data, state, found);
      frame.figure.mamlbook.values = Object.fromEntries(names.map((name) => [name, { ...found[name], outputs: undefined }]));
    }

    // Another wave takes the points along.
    function apply(change) {
      Object.assign(state, change);
      if ("amplitude" in change || "phase" in change) state.points = onWave(state);
      for (const [name, slider] of Object.entries(sliders)) slider.put(state[name]);
      redraw();
    }

    // ---- playing: one start after the other, or one at a press for who wants no motion

    const still = window.matchMedia("(prefers-reduced-motion: reduce)");
    const onward = () => apply({ start: state.start === last ? 0 : state.start + 1 });
    const named = () => { play.textContent = still.matches ? "Next start" : timer ? "Pause" : "Play"; };
    let timer = 0;
    function stop() {
      clearInterval(timer);
      timer = 0;
      named();
    }
    const play = kit.button("", () => {
      if (still.matches) onward();
      else if (timer) stop();
      else {
        onward();
        timer = setInterval(() => { if (state.start === last || !frame.figure.isConnected) stop(); else onward(); }, FRAME);
        named();
      }
    }, "play");
    play.style.minWidth = "76px"; // whatever it says
    still.addEventListener("change", stop);
    named();

    const fresh = (made) => { stop(); apply(made); };
    const another = () => {
      const tenth = (low, high) => Math.round(10 * (low + (high - low) * Math.random())) / 10;
      return { amplitude: tenth(0.1, 5), phase: tenth(0, 3.1), places: state.places.map(() => tenth(LOW, HIGH)) };
    };

    function visibility() {
      truth.show(shown.truth);
      for (const name of names) {
        for (const part of [after[name], each[name], ...courses[name], ...marks[name]]) part.show(shown[name]);
        for (const part of before[name]) part.show(shown[name] && shown.before);
      }
    }
    const entry = (name, label) => ({ role: name, label, toggle: (on) => { shown[name] = on; visibility(); } });
    const thin = kit.svg("svg", { class: "mb-key", width: 30, height: 12, "aria-hidden": "true" }, kit.svg("path", { d: "M1 6H29", stroke: "var(--mb-muted)", "stroke-width": 1.25 }));
    frame.live.append(
      kit.legend(frame, [...names.map((name) => entry(name, data.names[name])), { ...entry("before", "Before the inner steps"), icon: thin }, entry("truth", "Your wave")]),
      kit.html("div", { style: "display:flex;flex-wrap:wrap;align-items:end;gap:0 16px" },
        kit.buttons(play),
        ...[sliders.start, sliders.steps].map((slider, i) => { slider.node.style.flex = i ? "1 1 130px" : "3 1 150px"; return slider.node; })),
      view.holder,
      kit.controls(sliders.amplitude.node, sliders.phase.node),
      kit.html("p", { class: "mb-hint" }, "Drag a point, or move it with the arrow keys. In the small plots drag the dotted line; the marks on it are your wave."),
      kit.buttons(kit.button("A new wave", () => fresh(another()), "new"), kit.button("Reset", () => fresh(first(data)), "reset")),
      frame.says,
    );
    frame.onWidth(redraw);
    visibility();
    frame.figure.mamlbook.state = state;
    frame.figure.mamlbook.redraw = redraw;
  }

  book.scrubber = Object.freeze({ decoded, measured });
  kit.define("scrubber", build);
})();
