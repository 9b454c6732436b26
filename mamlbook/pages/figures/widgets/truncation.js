// Truncation: 40 inner steps of one weight down a loss with a terrace, with a pull and without, and how far off the
// gradient is that goes back through the last k of them only.
(function () {
  "use strict";
  const book = window.mamlbook, kit = book.kit;
  if (book.truncation) return;

  // ---- the formulas ------------------------------------------------------------------------------------------

  // Of the loss 0.3 phi^2 + (1 - cos 2 phi) / 2.
  const slope = (phi) => 0.6 * phi + Math.sin(2 * phi);
  const curvature = (phi) => 0.6 + 2 * Math.cos(2 * phi);

  // The steps under one pull. A step's Jacobian is its factor r; what k of them make of the query gradient is
  // J_k = (product of the last k) + alpha lam (sum of the products of the last 0 ... k - 1), for k = 0 ... S.
  function walk(steps, { theta, alpha, last }, lam) {
    const path = [theta], factors = [];
    for (let s = 0; s < steps; s++) {
      const phi = path[s];
      factors.push(1 - alpha * (curvature(phi) + lam));
      path.push(phi - alpha * (slope(phi) + lam * (phi - theta)));
    }
    const jacobians = [1];
    let product = 1, pulled = 0;
    for (let s = steps - 1; s >= 0; s--) {
      pulled += alpha * lam * product;
      product *= factors[s];
      jacobians.push(product + pulled);
    }
    const times = (some) => some.reduce((all, one) => all * one, 1);
    const distances = jacobians.map((one) => Math.abs(one / jacobians[steps] - 1));
    return {
      path, jacobians, distances, distance: distances[last],
      kept: times(factors.slice(steps - last)), left: times(factors.slice(0, steps - last)),
      nearer: distances.every((one, k) => k === 0 || one <= distances[k - 1] + 1e-12), // but for rounding
    };
  }

  // Everything about a state {theta, lam, alpha, last}.
  const compute = ({ steps }, state) => ({ pulled: walk(steps, state, state.lam), free: walk(steps, state, 0) });

  // ---- what the figure says ----------------------------------------------------------------------------------

  function order(walked, words) {
    if (walked.nearer) return `${words} each further step back brings the gradient nearer.`;
    const worst = walked.distances.indexOf(Math.max(...walked.distances));
    const away = `${words} some further steps back lead away from the exact gradient`;
    const none = kit.short(walked.distances[0]);
    if (worst === 0) return `${away}, but going back through none is still worst, off by ${none}.`;
    return `${away}: going back through ${kit.plural(worst, "step", "steps")} is worst, off by ${kit.short(walked.distances[worst])}, and through none off by ${none}.`;
  }

  function factors({ kept, left }, last, steps) {
    if (last === 0) return `No step is differentiated, as in FOMAML: all ${steps} are left out. Without a pull they multiply the gradient by ${kit.short(left)}.`;
    if (last === steps) return "No step is left out: this is MAML’s gradient.";
    const one = (number) => (number === 1 ? "step multiplies" : "steps multiply");
    const before = steps - last;
    return `Without a pull the last ${last === 1 ? "" : `${last} `}${one(last)} the gradient by ${kit.short(kept)}; the ${before === 1 ? "one" : before} before, left out, by ${kit.short(left)}.`;
  }

  function say(frame, { steps, roles }, state, now) {
    const number = (walked, role) => kit.number(frame, kit.short(walked.distance), role);
    const back = `Back through ${state.last} of ${steps} steps the gradient is off by `;
    const first = state.lam === 0
      ? kit.paragraph(back, number(now.free, roles.free), " without a pull.")
      : kit.paragraph(back, number(now.pulled, roles.pulled), ` with the pull of ${state.lam} and by `, number(now.free, roles.free), " without.");
    const verdict = [order(now.free, "Without a pull")];
    if (state.lam > 0) verdict.unshift(order(now.pulled, "With the pull"));
    const memory = `The way back needs ${kit.plural(state.last, "iterate", "iterates")} in memory instead of ${steps}.`;
    frame.say(first, kit.paragraph(factors(now.free, state.last, steps)), kit.aside(`${verdict.join(" ")} ${state.last < steps ? memory : ""}`.trim()));
  }

  // ---- what the figure draws ---------------------------------------------------------------------------------

  // include beside
  const range = (low, high, count) => Array.from({ length: count + 1 }, (_, i) => low + ((high - low) * i) / count);

  function plots(frame, data) {
    const part = halves(frame);
    const height = (width) => Math.round(kit.clamp(width * 0.8, 250, 310));
    const way = kit.plot(part, {
      margin: { left: 24, right: 8 }, height, x: { domain: [-1, data.steps + 1], ticks: [0, 10, 20, 30, 40], label: "inner steps, s" },
      y: { domain: data.plot, ticks: [0, 1, 2, 3, 4], label: "weight φ" }, label: "Weight after every inner step, with a movable start",
    });
    const off = kit.plot(part, {
      margin: { left: 56, right: 8 }, height, x: { domain: [-1, data.steps + 1], ticks: [0, 10, 20, 30, 40], label: "steps differentiated, k" },
      y: { domain: [data.least, 10], ticks: [], log: true, label: "relative distance" }, label: "Distance to the exact gradient over the steps that are differentiated, with a movable number of them",
    });
    for (const view of [way, off]) {
      view.picture.classList.add("mb-tappable");
    }
    return { way, off, holder: sideBySide(way, off) };
  }

  // Where the loss curves downwards.
  function downwards(view, [low, high]) {
    const band = kit.svg("rect", { fill: "var(--mb-line)", "fill-opacity": 0.55 });
    view.curves.prepend(band);
    return {
      draw() {
        const [left, right] = view.options.x.domain.map(view.x);
        kit.set(band, { x: left, width: right - left, y: view.y(high), height: view.y(low) - view.y(high) });
      },
      show(shown) { band.style.display = shown ? "" : "none"; },
    };
  }

  // The weights from which the steps begin: full where the step is differentiated, empty where it is not.
  function trail(view, role) {
    const shape = kit.outline(view.made.looks[role].marker, 3.4);
    const group = kit.svg("g", { "clip-path": `url(#${view.clip})` });
    view.marks.append(group);
    return {
      draw(path, last) {
        const steps = path.length - 1;
        group.replaceChildren(...path.slice(0, steps).map((phi, s) => kit.svg("path", {
          d: shape, transform: `translate(${view.x(s).toFixed(1)} ${view.y(phi).toFixed(1)})`,
          fill: s < steps - last ? "var(--mb-surface)" : kit.colour(role), stroke: s < steps - last ? kit.colour(role) : "var(--mb-surface)",
        })));
      },
      show(shown) { group.style.display = shown ? "" : "none"; },
    };
  }

  function square() {
    const patch = kit.svg("rect", { width: 18, height: 12, fill: "var(--mb-line)", "fill-opacity": 0.55, stroke: "var(--mb-muted)" });
    return kit.svg("svg", { class: "mb-key", width: 18, height: 12, "aria-hidden": "true" }, patch);
  }

  function build(frame, data) {
    const state = { ...data.first }, { steps, roles } = data, [low, high] = data.range;
    const back = range(0, steps, steps);
    const { way, off, holder } = plots(frame, data);
    const band = downwards(way, data.band);
    const names = ["free", "pulled"]; // the second is drawn on top
    const drawn = Object.fromEntries(names.map((name) => [name, { curve: kit.curve(way, roles[name]), trail: trail(way, roles[name]), off: kit.curve(off, roles[name], { marked: 5 }) }]));

    const start = kit.handle(way, {
      role: "theta", x: { min: 0, max: 0, step: 1 }, y: { min: low, max: high, step: 0.05 },
      label: () => "Start θ", at: () => ({ x: 0, y: state.theta }),
      value: () => ({ now: Number(state.theta.toFixed(4)), text: `θ ${kit.fixed(state.theta, 2)}` }), move: (_, y) => apply({ theta: y }),
    });
    const sliders = {};
    const add = (name, label, min, max, step, format) => {
      sliders[name] = kit.slider({ name, label, min, max, step, value: state[name], format, change: (value) => apply({ [name]: value }) });
    };
    add("last", "Last steps differentiated k", 0, steps, 1, String);
    add("lam", "Pull λ", ...data.pulls, 0.25, String);
    add("alpha", "Inner rate α", ...data.rates, 0.005, (value) => kit.fixed(value, 3));
    // The slider of the steps is this rule's access by keyboard.
    const cut = kit.handle(off, {
      role: "theta", rule: true, x: { min: 0, max: steps, step: 1, stops: back }, y: null,
      mirror: { node: sliders.last.node.querySelector("input") }, move: (x) => apply({ last: x }),
    });

    // The axis of distances ends at the power of ten above the largest.
    function axis(now) {
      const top = Math.max(1, Math.ceil(Math.log10(Math.max(...now.free.distances, ...now.pulled.distances))));
      const powers = range(Math.round(Math.log10(data.least)), top, top - Math.round(Math.log10(data.least)));
      off.options.y.ticks = powers.map((power) => Number((10 ** power).toPrecision(1)));
      off.options.y.domain = [data.least, off.options.y.ticks.at(-1)];
      off.layout(off.width);
    }

    function redraw() {
      const now = compute(data, state);
      axis(now);
      for (const name of names) {
        const { path, distances } = now[name];
        drawn[name].curve.draw(back, path);
        drawn[name].trail.draw(path, state.last);
        // With all steps the distance is 0, which a logarithmic axis has no place for.
        drawn[name].off.draw(back, distances.map((one, k) => (k === steps ? null : one)));
      }
      band.draw();
      start.place(0, state.theta);
      cut.place(state.last, null);
      say(frame, data, state, now);
      frame.figure.mamlbook.values = now;
    }

    function apply(change) {
      Object.assign(state, change);
      for (const [name, slider] of Object.entries(sliders)) slider.put(state[name]);
      redraw();
    }

    way.onTap = (_, y) => apply({ theta: kit.clamp(y, low, high) });
    off.onTap = (x) => apply({ last: kit.nearestStop(x, back) });
    const toggle = (name) => (shown) => Object.values(drawn[name]).forEach((part) => part.show(shown));
    frame.live.append(
      kit.legend(frame, [
        { role: roles.pulled, label: "With the pull", toggle: toggle("pulled") },
        { role: roles.free, label: "Without a pull", toggle: toggle("free") },
        { icon: square(), label: "The loss curves downwards", toggle: band.show },
      ]),
      holder,
      kit.html("p", { class: "mb-hint" }, "Drag the start θ up and down, and the rule at k sideways, or use the arrow keys and the sliders."),
      kit.controls(...Object.values(sliders).map(({ node }) => node)),
      kit.buttons(kit.button("Reset", () => apply(data.first), "reset")),
      frame.says,
    );
    frame.onWidth(redraw);
    frame.figure.mamlbook.state = state;
    frame.figure.mamlbook.redraw = redraw;
  }

  book.truncation = Object.freeze({ compute });
  kit.define("truncation", build);
})();
