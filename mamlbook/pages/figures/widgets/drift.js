// A start that follows moving tasks: one training over time, and the error's two parts over the share q of an outer step.
(function () {
  "use strict";
  const book = window.mamlbook, kit = book.kit;
  if (book.drift) return;

  const TARGET = "truth", START = "maml";
  const FASTEST = 0.05, QUIETEST = 0.1, LOUDEST = 1;

  // ---- the formulas ------------------------------------------------------------------------------------------

  const lagOf = (v, q) => (v * (1 - q)) / q;
  const varianceOf = (noise, q) => (q / (2 - q)) * noise ** 2;
  const errorOf = (v, noise, q) => lagOf(v, q) ** 2 + varianceOf(noise, q);

  // Where the derivative of the error is zero, noise^2 q^3 = v^2 (1 - q) (2 - q)^2; the left side rises, the right falls.
  function bestOf(v, noise) {
    let low = 0, high = 1;
    for (let i = 0; i < 100; i++) {
      const q = (low + high) / 2;
      if (noise ** 2 * q ** 3 < v ** 2 * (1 - q) * (2 - q) ** 2) low = q;
      else high = q;
    }
    return v === 0 ? 0 : (low + high) / 2;
  }

  // Everything about a state {v, noise, q, draw}. Start and target begin at 0.
  function compute({ steps, xi }, { v, noise, q, draw }) {
    const lag = lagOf(v, q), variance = varianceOf(noise, q), best = bestOf(v, noise);
    const targets = [0], batches = [null], starts = [0], means = [0], deviations = [0];
    for (let t = 1; t <= steps; t++) {
      const left = (1 - q) ** t;
      targets.push(v * t);
      batches.push(v * t + noise * xi[draw][t - 1]);
      starts.push(starts[t - 1] + q * (batches[t] - starts[t - 1]));
      means.push(v * t - lag * (1 - left));
      deviations.push(Math.sqrt(variance * (1 - left ** 2)));
    }
    return {
      targets, batches, starts, means, deviations, lag, variance, square: lag ** 2, error: errorOf(v, noise, q),
      age: (1 - q) / q, count: (2 - q) / q, left: (1 - q) ** steps, best, least: best > 0 ? errorOf(v, noise, best) : 0,
    };
  }

  // ---- what the figure says ----------------------------------------------------------------------------------

  // Three digits, without zeros at the end.
  const brief = (value) => (value !== 0 && value < 1e-5 ? "below 0.00001" : String(Number(value.toPrecision(3))));

  function memory(state, now) {
    if (state.q === 1) return "At q = 1 the start is the mean optimum of the newest meta-batch alone: it does not lag.";
    const old = `At q = ${state.q} the start is a weighted mean of the meta-batches so far, in the long run ${brief(now.age)} steps old on average. `;
    if (state.v === 0) return `${old}The tasks stay, so it does not lag.`;
    return `${old}Since then the target has moved by ${brief(now.age)} · ${state.v}: `;
  }

  function verdict(state, now, steps) {
    if (now.best === 0) return "Tasks that stay: the smaller q, the smaller the error in the long run.";
    const least = `The least error, ${brief(now.least)}, is at q = ${Number(now.best.toPrecision(2))}. `;
    const times = now.error / now.least;
    if (times < 1.02) return `${least}Here it is as good as that.`;
    const more = times < 1.995 ? `${Math.round(100 * (times - 1))}% more` : `${kit.short(times)} times as large`;
    const cause = state.q < now.best ? "the start is too slow" : "the start follows the noise";
    const young = now.left > 0.02 ? ` (After the ${steps} steps shown it lags by ${brief(now.lag * (1 - now.left))} on average.)` : "";
    return `${least}Here it is ${more}, because ${cause}.${state.v > 0 ? young : ""}`;
  }

  function say(frame, data, state, now) {
    const number = (value, role) => kit.number(frame, brief(value), data.roles[role]);
    const first = kit.paragraph(memory(state, now));
    if (state.q < 1 && state.v > 0) first.append("the start lags by ", kit.number(frame, brief(now.lag)), ".");
    const plain = state.q === 1 ? "It has the noise of one meta-batch. " : `It has the noise of a plain mean of ${brief(now.count)} meta-batches. `;
    frame.say(
      first,
      kit.paragraph(plain, "Mean squared error: lag² ", number(now.square, "lag"), " + noise ", number(now.variance, "noise"), " = ", number(now.error, "error"), "."),
      kit.aside(verdict(state, now, data.steps)),
    );
  }

  // ---- what the figure draws ---------------------------------------------------------------------------------

  // include beside
  const visible = (node, shown) => { node.style.display = shown ? "" : "none"; };
  const limit = (pixel) => kit.clamp(pixel, -9999, 9999).toFixed(1);

  // At most six round numbers.
  function ticks(low, high) {
    const size = [0.1, 0.2, 0.5, 1, 2, 5].find((one) => (high - low) / one <= 6);
    const first = Math.ceil(low / size), last = Math.floor(high / size);
    return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * size).toFixed(6)) || 0);
  }

  function plots(frame, { steps }) {
    const part = halves(frame);
    const height = (width) => Math.round(kit.clamp(width * 0.8, 240, 320));
    const course = kit.plot(part, {
      margin: { left: 36, right: 10 }, height, label: "Target, meta-batches and start over the outer steps",
      x: { domain: [0, steps + 3], ticks: [0, 50, 100, 150], label: "outer steps" }, y: { domain: [-1, 1], ticks: [], label: "position" },
    });
    const error = kit.plot(part, {
      margin: { left: 64, right: 16 }, height, label: "Mean squared error and its two parts over the share q, which a rule moves",
      x: { domain: [-2, 0], ticks: [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1].map(Math.log10), text: (log) => String(Number((10 ** log).toPrecision(1))), label: "share q of an outer step" },
      y: { domain: [0.001, 1], ticks: [], label: "mean squared error, in the long run", log: true },
    });
    error.picture.classList.add("mb-tappable");
    return { course, error, holder: sideBySide(course, error) };
  }

  // Marks of a role, as many as there may be.
  function dots(view, layer, role, number, radius) {
    const shape = kit.outline(view.made.looks[role].marker, radius);
    const nodes = Array.from({ length: number }, () => kit.svg("path", { d: shape, fill: kit.colour(role), class: "mb-marker" }));
    const group = kit.svg("g", { "clip-path": `url(#${view.clip})` }, ...nodes);
    layer.append(group);
    return {
      draw: (places) => nodes.forEach((node, i) => kit.set(node, { transform: `translate(${limit(view.x(places[i][0]))} ${limit(view.y(places[i][1]))})` })),
      show: (shown) => visible(group, shown),
    };
  }

  function band(view, role) {
    const node = kit.svg("path", { fill: kit.colour(role), "fill-opacity": 0.18 });
    view.curves.append(node);
    return {
      draw(means, halves) {
        const side = (sign) => means.map((mean, t) => `${limit(view.x(t))} ${limit(view.y(mean + sign * halves[t]))}`);
        kit.set(node, { d: `M${[...side(1), ...side(-1).reverse()].join("L")}Z` });
      },
      show: (shown) => visible(node, shown),
    };
  }

  function build(frame, data) {
    const state = { ...data.first }, { steps, shares, roles } = data;
    const times = Array.from({ length: steps + 1 }, (_, t) => t), logs = shares.map(Math.log10);
    const { course, error, holder } = plots(frame, data);
    const batches = dots(course, course.curves, roles.noise, steps, 2.4);
    const around = band(course, START), target = kit.curve(course, TARGET), start = kit.curve(course, START);
    const behind = [kit.curve(course, roles.lag), dots(course, course.curves, roles.lag, 2, 3.6)];
    const parts = {};
    for (const [name, role] of Object.entries(roles)) parts[name] = [kit.curve(error, role), dots(error, error.marks, role, 1, 4.6)];

    const sliders = {}, whole = (digits) => (value) => kit.fixed(value, digits);
    const add = (name, label, min, max, step, format) => {
      sliders[name] = kit.slider({ name, label, min, max, step, value: state[name], format, change: (value) => apply({ [name]: value }) });
    };
    add("v", "Speed v of the tasks", 0, FASTEST, 0.001, whole(3));
    add("noise", "Noise τ/√B of a meta-batch", QUIETEST, LOUDEST, 0.05, whole(2));
    const place = () => shares.indexOf(kit.nearestStop(state.q, shares));
    sliders.q = kit.slider({ name: "q", label: "Share q of an outer step", min: 0, max: shares.length - 1, value: place(), format: (i) => String(shares[i]), change: (i) => apply({ q: shares[i] }) });
    // The slider below is this rule's access by keyboard.
    const cut = kit.handle(error, {
      role: "theta", rule: true, x: { min: -2, max: 0, stops: logs }, y: null,
      mirror: { node: sliders.q.node.querySelector("input") }, move: (log) => apply({ q: shares[logs.indexOf(log)] }),
    });

    function scale(curves) {
      const high = state.v * steps + 2.2 * state.noise, low = -2.2 * state.noise;
      Object.assign(course.options.y, { domain: [low, high], ticks: ticks(low, high) });
      course.layout(course.width);
      const least = Math.floor(Math.log10(Math.min(...curves.error) / 3)), most = Math.ceil(Math.log10(Math.max(...curves.error)));
      const powers = Array.from({ length: most - least + 1 }, (_, i) => Number((10 ** (least + i)).toPrecision(1)));
      Object.assign(error.options.y, { domain: [powers[0], powers[powers.length - 1]], ticks: powers });
      error.layout(error.width);
    }

    function redraw() {
      const now = compute(data, state), { v, noise, q } = state;
      const curves = { error: shares.map((share) => errorOf(v, noise, share)), lag: shares.map((share) => lagOf(v, share) ** 2), noise: shares.map((share) => varianceOf(noise, share)) };
      scale(curves);
      batches.draw(times.slice(1).map((t) => [t, now.batches[t]]));
      around.draw(now.means, now.deviations);
      target.draw(times, now.targets);
      start.draw(times, now.starts);
      const ends = [[steps, now.targets[steps]], [steps, now.means[steps]]];
      behind[0].draw(ends.map(([x]) => x), ends.map(([, y]) => y));
      behind[1].draw(ends);
      const here = { error: now.error, lag: now.square, noise: now.variance };
      for (const [name, [line, dot]] of Object.entries(parts)) {
        line.draw(logs, curves[name]);
        dot.draw([[Math.log10(q), here[name]]]);
      }
      cut.place(Math.log10(q), null);
      sliders.v.put(v);
      sliders.noise.put(noise);
      sliders.q.put(place());
      say(frame, data, state, now);
      frame.figure.mamlbook.values = now;
    }

    function apply(change) {
      Object.assign(state, change);
      redraw();
    }

    error.onTap = (log) => apply({ q: shares[logs.indexOf(kit.nearestStop(log, logs))] });
    const toggle = (...all) => (shown) => all.forEach((one) => one.show(shown));
    const best = () => apply({ q: kit.nearestStop(compute(data, state).best, shares) });
    frame.live.append(
      kit.legend(frame, [
        { role: TARGET, label: "Target", toggle: toggle(target) },
        { role: START, label: "Start θ", toggle: toggle(start, around) },
        { role: roles.noise, label: "Meta-batches, and noise", toggle: toggle(batches, ...parts.noise) },
        { role: roles.lag, label: "Lag, and its square", toggle: toggle(...behind, ...parts.lag) },
        { role: roles.error, label: "Mean squared error", toggle: toggle(...parts.error) },
      ]),
      holder,
      kit.html("p", { class: "mb-hint" }, "Drag the rule at q, click where it should be, or use the sliders."),
      kit.controls(sliders.q.node, sliders.v.node, sliders.noise.node),
      kit.buttons(
        kit.button("To the least error", best, "best"),
        kit.button("Another training", () => apply({ draw: (state.draw + 1) % data.xi.length }), "draw"),
        kit.button("Reset", () => apply(data.first), "reset"),
      ),
      frame.says,
    );
    frame.onWidth(redraw);
    frame.figure.mamlbook.state = state;
    frame.figure.mamlbook.redraw = redraw;
  }

  book.drift = Object.freeze({ compute });
  kit.define("drift", build);
})();
