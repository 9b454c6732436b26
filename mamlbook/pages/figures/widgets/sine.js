// Three networks with the same shape and different starting weights adapt to the reader's points by gradient descent.
(function () {
  "use strict";
  const book = window.mamlbook, kit = book.kit;
  if (book.sine) return;

  const LOW = -5, HIGH = 5, TOP = 5.5; // the plot: x in [-5, 5], y in [-5.5, 5.5]
  const MOST = 20; // points
  const GRID = Float64Array.from({ length: 201 }, (_, i) => LOW + ((HIGH - LOW) * i) / 200);
  const NAMES = { maml: "meta-learned", joint: "jointly trained", random: "random", fomaml: "first-order", reptile: "Reptile" };

  // include network
  // include examples

  // ---- the figure --------------------------------------------------------------------------------------------

  const wave = (state, x) => state.amplitude * Math.sin(x - state.phase);

  // A new wave from the distribution that the networks were trained on.
  function draw(state) {
    state.amplitude = 0.1 + 4.9 * Math.random();
    state.phase = Math.PI * Math.random();
    state.places = Array.from({ length: MOST }, () => LOW + (HIGH - LOW) * Math.random());
    state.points = onWave(state, state.points.length || 10);
  }

  const onWave = (state, number) => state.places.slice(0, number).map((x) => [x, wave(state, x)]);

  function first(data) {
    const { amplitude, phase, places, points, steps } = data.first;
    const state = { amplitude, phase, places: places.slice(), steps, alpha: data.alpha, starts: data.starts, adapted: {}, errors: {} };
    state.points = onWave(state, points);
    return state;
  }

  // Everything the picture shows follows from points, wave and steps.
  function compute(state) {
    state.truth = GRID.map((x) => wave(state, x));
    for (const name in state.starts) {
      state.adapted[name] = adapt(state.starts[name], state.points, state.alpha, state.steps);
      state.outputs[name] = predict(state.adapted[name], GRID);
      state.errors[name] = { points: error(state.adapted[name], state.points), wave: squaredGap(state.outputs[name], state.truth) };
    }
  }

  function sentence(frame, state, what, show) {
    const names = Object.keys(state.starts), parts = [];
    names.forEach((name, i) => {
      parts.push(i === 0 ? "" : i === names.length - 1 ? " and " : ", ");
      parts.push(kit.number(frame, show(state.errors[name]), name), ` from the ${NAMES[name]} ${i === 0 ? "start" : "one"}`);
    });
    return [what, ...parts, "."];
  }

  function say(frame, state) {
    const { steps, points } = state;
    const when = steps === 0 ? "Before any step" : `After ${kit.plural(steps, "step", "steps")} on ${kit.plural(points.length, "point", "points")}`;
    const whole = kit.paragraph(...sentence(frame, state, `${when}, the mean squared error on the whole wave is `, (e) => kit.short(e.wave)));
    if (points.length === 0) return frame.say(whole, kit.aside("There is no point to learn from."));
    const names = Object.keys(state.starts);
    const list = names.map((name) => `${kit.short(state.errors[name].points)} (${NAMES[name]})`).join(", ");
    frame.say(whole, kit.aside(`On the points themselves: ${list}.`));
  }

  function build(frame, data) {
    const state = first(data), names = Object.keys(data.starts);
    state.outputs = {};
    state.visible = { truth: true, before: false };
    for (const name of names) state.visible[name] = true;
    const before = {};
    for (const name of names) before[name] = predict(copy(data.starts[name]), GRID);

    const view = kit.plot(frame, {
      x: { domain: [LOW, HIGH], ticks: [-4, -2, 0, 2, 4], label: "x" },
      y: { domain: [-TOP, TOP], ticks: [-4, -2, 0, 2, 4], label: "y" },
      height: (width) => Math.round(kit.clamp(width * 0.52, 270, 400)),
      label: "Plot with movable points",
    });
    const faint = {}, curves = {}, truth = kit.curve(view, "truth");
    for (const name of names) faint[name] = kit.curve(view, name, { faint: true });
    for (const name of names.slice().reverse()) curves[name] = kit.curve(view, name, { marked: 5 }); // the first on top

    const steps = kit.slider({
      label: "Gradient steps", name: "steps", min: 0, max: 10, value: state.steps,
      change: (value) => { state.steps = value; redraw(); },
    });
    const number = kit.slider({
      label: "Points", name: "points", min: 1, max: MOST, value: state.points.length,
      change: (value) => {
        while (state.points.length > value) state.points.pop();
        while (state.points.length < value) {
          const x = state.places[state.points.length];
          state.points.push([x, wave(state, x)]);
        }
        redraw();
      },
    });

    const place = movable(view, state, { word: "Point", low: LOW, high: HIGH, top: TOP, most: MOST, redraw });

    function redraw() {
      compute(state);
      truth.draw(GRID, state.truth);
      names.forEach((name, i) => curves[name].draw(GRID, state.outputs[name], 0.3 + 0.2 * i));
      place();
      number.put(state.points.length);
      say(frame, state);
    }

    function visibility() {
      truth.show(state.visible.truth);
      for (const name of names) {
        curves[name].show(state.visible[name]);
        faint[name].show(state.visible[name] && state.visible.before);
      }
    }

    const entry = (name, label) => ({ role: name, label, shown: state.visible[name], toggle: (shown) => { state.visible[name] = shown; visibility(); } });
    const legend = kit.legend(frame, [
      ...names.map((name) => entry(name, `${NAMES[name][0].toUpperCase()}${NAMES[name].slice(1)}`)),
      entry("truth", "True wave"),
      { ...entry("before", "At step 0"), icon: thinKey() },
    ]);
    const again = kit.button("A new wave", () => { draw(state); redraw(); }, "new");
    const reset = kit.button("Reset", () => { Object.assign(state, first(data)); steps.put(state.steps); redraw(); }, "reset");

    frame.live.append(
      legend, view.holder,
      kit.html("p", { class: "mb-hint" }, "Drag a point, or move it with the arrow keys. Click to add a point; double-click or Delete takes one away."),
      kit.controls(steps.node, number.node),
      kit.buttons(again, reset),
      frame.says,
    );
    frame.onWidth(() => {
      for (const name of names) faint[name].draw(GRID, before[name]);
      redraw();
    });
    visibility();
    frame.figure.mamlbook.state = state;
    frame.figure.mamlbook.redraw = redraw;
  }

  function thinKey() {
    const line = kit.svg("path", { d: "M1 6H29", stroke: "var(--mb-muted)", "stroke-width": 1.25 });
    return kit.svg("svg", { class: "mb-key", width: 30, height: 12, "aria-hidden": "true" }, line);
  }

  book.sine = Object.freeze({ adapt, predict, error });
  kit.define("sine", build);
})();
