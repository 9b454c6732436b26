// Two quadratic tasks, one start: the joint objective and the MAML objective, with every value in closed form.
(function () {
  "use strict";
  const book = window.mamlbook, kit = book.kit;
  if (book.twoTasks) return;

  const TASKS = ["task1", "task2"];

  // ---- the formulas ------------------------------------------------------------------------------------------

  const loss = (h, c, theta) => (h / 2) * (theta - c) ** 2;

  // After S steps of size alpha on h/2 (theta - c)^2 the distance to c has shrunk by (1 - alpha h)^S.
  const adapted = (h, c, theta, alpha, steps) => c + (1 - alpha * h) ** steps * (theta - c);

  // The weighted mean of the optima, or null where all weights vanish and every start is as good as another.
  function weightedMean(weights, optima) {
    const total = weights[0] + weights[1];
    return total > 0 ? (weights[0] * optima[0] + weights[1] * optima[1]) / total : null;
  }

  const mean = (values) => (values[0] + values[1]) / 2;

  function objectives({ h, c, alpha, steps }, theta) {
    return {
      joint: mean(h.map((h_i, i) => loss(h_i, c[i], theta))),
      maml: mean(h.map((h_i, i) => (h_i / 2) * (1 - alpha * h_i) ** (2 * steps) * (theta - c[i]) ** 2)),
    };
  }

  // Everything about a state {h, c, alpha, steps, theta}.
  function compute(state) {
    const { h, c, alpha, steps, theta } = state;
    const paths = h.map((h_i, i) => Array.from({ length: steps + 1 }, (_, s) => adapted(h_i, c[i], theta, alpha, s)));
    const phi = paths.map((path) => path[steps]);
    const weights = h.map((h_i) => h_i * (1 - alpha * h_i) ** (2 * steps));
    return {
      phi, paths, weights,
      losses: h.map((h_i, i) => loss(h_i, c[i], theta)),
      adaptedLosses: h.map((h_i, i) => loss(h_i, c[i], phi[i])),
      ...objectives(state, theta),
      jointMinimiser: weightedMean(h, c),
      mamlMinimiser: weightedMean(weights, c),
    };
  }

  // ---- the figure --------------------------------------------------------------------------------------------

  const range = (low, high, number) => Float64Array.from({ length: number + 1 }, (_, i) => low + ((high - low) * i) / number);

  function say(frame, state, now) {
    const { number, fixed, short, plural } = { ...kit, number: (text, role) => kit.number(frame, text, role) };
    const where = (value) => (value === null ? "is the same for every start" : `is lowest at ${fixed(value, 2)}`);
    const part = (i) => `task ${i + 1} from ${short(now.losses[i])} to ${short(now.adaptedLosses[i])}`;
    frame.say(
      kit.paragraph(
        `At θ = ${fixed(state.theta, 2)} the mean loss is `, number(short(now.joint), "joint"), ` before adapting; it ${where(now.jointMinimiser)}. `,
        `After ${plural(state.steps, "step", "steps")} it is `, number(short(now.maml), "maml"), `; that ${where(now.mamlMinimiser)}.`,
      ),
      kit.aside(`Adapted losses: ${part(0)}, ${part(1)}.`),
    );
  }

  // The way of one task from theta to phi along its loss curve: a hollow dot where it starts, a small dot at every
  // step, an arrow head at phi. Straight lines between, so that a step across the valley is seen as a jump.
  function trail(view, role) {
    const halo = kit.svg("polyline", { class: "mb-curve mb-trail-halo" });
    const line = kit.svg("polyline", { class: "mb-curve mb-trail", stroke: kit.colour(role) });
    const dots = kit.svg("g", {});
    const head = kit.svg("path", { fill: kit.colour(role), class: "mb-marker" });
    const name = kit.svg("text", { class: "mb-halo mb-axis-label", "text-anchor": "middle" });
    view.marks.append(kit.svg("g", { "clip-path": `url(#${view.clip})` }, halo, line, dots, head), name);
    const limit = (pixel) => kit.clamp(pixel, -5000, 5000);
    const dot = ([cx, cy], s) => kit.svg("circle", s === 0
      ? { cx, cy, r: 5, stroke: kit.colour(role), class: "mb-trail-start" }
      : { cx, cy, r: 4, fill: kit.colour(role), class: "mb-marker" });
    return function draw(path, height, label) {
      const places = path.map((theta) => [limit(view.x(theta)), limit(view.y(height(theta)))]);
      const points = places.map((place) => place.map((v) => v.toFixed(1)).join(",")).join(" ");
      for (const part of [halo, line]) kit.set(part, { points });
      dots.replaceChildren(...places.slice(0, -1).map(dot));
      const [x, y] = places[places.length - 1], [a, b] = places[places.length - 2] || [x, y];
      const tilt = (Math.atan2(y - b, x - a) * 180) / Math.PI;
      // A step too short for an arrow ends in a dot.
      const arrow = Math.hypot(x - a, y - b) > 6;
      kit.set(head, { d: arrow ? "M2 0L-13 -7L-9.5 0L-13 7Z" : kit.outline("circle", 5), transform: `translate(${x} ${y}) rotate(${arrow ? tilt : 0})` });
      name.textContent = label;
      name.style.display = view.inside(x, y) ? "" : "none";
      kit.set(name, { x: kit.clamp(x, 20, view.width - 20), y: y - 13 });
    };
  }

  // A mark at the lowest point of an objective, with a name beside it.
  function minimum(view, role, above) {
    const { looks } = view.made;
    const mark = kit.svg("path", { d: kit.outline(looks[role].marker, 6), fill: kit.colour(role), class: "mb-marker" });
    const name = kit.svg("text", { class: "mb-halo mb-axis-label", "text-anchor": "middle" });
    view.marks.append(mark, name);
    return function draw(theta, value, label) {
      const shown = theta !== null && view.inside(view.x(theta), view.y(value));
      for (const node of [mark, name]) node.style.display = shown ? "" : "none";
      if (!shown) return;
      kit.set(mark, { transform: `translate(${view.x(theta)} ${view.y(value)})` });
      kit.set(name, { x: kit.clamp(view.x(theta), 46, view.width - 46), y: view.y(value) + above });
      name.textContent = label;
    };
  }

  function build(frame, data) {
    const first = () => ({ ...data.first, h: data.first.h.slice(), c: data.first.c.slice() });
    const state = first();
    const [low, high] = data.range, xs = range(low, high, 240);
    const ticks = [-0.5, 0, 0.5, 1, 1.5];
    const common = { margin: { left: 40 }, spill: 8 }; // a curve may touch zero
    const upper = kit.plot(frame, {
      ...common, margin: { ...common.margin, bottom: 14 },
      x: { domain: [low, high], ticks, labels: false }, y: { domain: [0, 1.5], ticks: [0, 0.5, 1, 1.5], label: "loss of each task" },
      height: (width) => Math.round(kit.clamp(width * 0.36, 210, 280)), label: "Loss of each task over the start",
    });
    const lower = kit.plot(frame, {
      ...common,
      x: { domain: [low, high], ticks, label: "start θ" }, y: { domain: [0, 0.75], ticks: [0, 0.25, 0.5, 0.75], label: "mean loss of both" },
      height: (width) => Math.round(kit.clamp(width * 0.32, 200, 250)), label: "Mean loss over the start, with a movable start",
    });
    for (const view of [upper, lower]) view.picture.classList.add("mb-tappable");

    const curves = TASKS.map((role) => kit.curve(upper, role));
    const trails = TASKS.map((role) => trail(upper, role));
    const joint = kit.curve(lower, "joint"), maml = kit.curve(lower, "maml");
    const jointLowest = minimum(lower, "joint", -12), mamlLowest = minimum(lower, "maml", -12);

    const start = {
      role: "theta", rule: true, x: { min: low, max: high, step: 0.01 }, y: null,
      label: () => "Start theta", at: () => ({ x: state.theta, y: null }),
      value: () => ({ now: Number(state.theta.toFixed(4)), text: `theta ${kit.fixed(state.theta, 2)}` }),
      move: (theta) => go(theta),
    };
    const handle = kit.handle(lower, start);
    const mirror = kit.handle(upper, { ...start, mirror: handle });

    function redraw() {
      const now = compute(state);
      TASKS.forEach((role, i) => {
        const height = (theta) => loss(state.h[i], state.c[i], theta);
        curves[i].draw(xs, xs.map(height));
        trails[i](now.paths[i], height, i === 0 ? "φ₁" : "φ₂");
      });
      joint.draw(xs, xs.map((theta) => objectives(state, theta).joint));
      maml.draw(xs, xs.map((theta) => objectives(state, theta).maml));
      // Without a step the two objectives are one, and so would be the places of their labels.
      const one = state.steps === 0 || state.alpha === 0;
      jointLowest(now.jointMinimiser, objectives(state, now.jointMinimiser).joint, one ? "" : "joint optimum");
      mamlLowest(now.mamlMinimiser, objectives(state, now.mamlMinimiser).maml, one ? "both optima" : "MAML optimum");
      for (const made of [handle, mirror]) made.place(state.theta, null);
      say(frame, state, now);
      frame.figure.mamlbook.values = now;
    }

    function go(theta) {
      if (theta === null) return;
      state.theta = kit.clamp(theta, low, high);
      redraw();
    }

    const digits = (value) => kit.fixed(value, 2);
    const put = (change) => (value) => { change(value); redraw(); };
    const sliders = {
      alpha: kit.slider({ label: "Step size α", name: "alpha", min: 0, max: 0.6, step: 0.01, value: state.alpha, format: digits, change: put((v) => { state.alpha = v; }) }),
      steps: kit.slider({ label: "Steps S", name: "steps", min: 0, max: 10, value: state.steps, change: put((v) => { state.steps = v; }) }),
      h1: kit.slider({ label: "Curvature of task 1", name: "h1", min: 0.25, max: 5, step: 0.25, value: state.h[0], format: digits, change: put((v) => { state.h[0] = v; }) }),
      h2: kit.slider({ label: "Curvature of task 2", name: "h2", min: 0.25, max: 5, step: 0.25, value: state.h[1], format: digits, change: put((v) => { state.h[1] = v; }) }),
    };
    function reset() {
      Object.assign(state, first());
      sliders.alpha.put(state.alpha);
      sliders.steps.put(state.steps);
      sliders.h1.put(state.h[0]);
      sliders.h2.put(state.h[1]);
      redraw();
    }

    const named = ["Task 1", "Task 2"].map((label, i) => ({ role: TASKS[i], label, toggle: (shown) => curves[i].show(shown) }));
    frame.live.append(
      kit.legend(frame, [
        ...named,
        { role: "joint", label: "Joint objective (before)", toggle: (shown) => joint.show(shown) },
        { role: "maml", label: "MAML objective (after)", toggle: (shown) => maml.show(shown) },
      ]),
      upper.holder, lower.holder,
      kit.html("p", { class: "mb-hint" }, "Drag θ, click where it should be, or move it with the arrow keys."),
      kit.controls(sliders.alpha.node, sliders.steps.node, sliders.h1.node, sliders.h2.node),
      kit.buttons(
        kit.button("To the joint optimum", () => go(compute(state).jointMinimiser), "joint"),
        kit.button("To the MAML optimum", () => go(compute(state).mamlMinimiser), "maml"),
        kit.button("Reset", reset, "reset"),
      ),
      frame.says,
    );
    for (const view of [upper, lower]) view.onTap = go;
    frame.onWidth(redraw);
    frame.figure.mamlbook.state = state;
    frame.figure.mamlbook.redraw = redraw;
  }

  book.twoTasks = Object.freeze({ compute });
  kit.define("two_tasks", build);
})();
