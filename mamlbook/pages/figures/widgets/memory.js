// A memory of solutions: two linear tasks of few points, the mean course of the start, and where it ends over the rate.
(function () {
  "use strict";
  const book = window.mamlbook, kit = book.kit;
  if (book.memory) return;

  const NEAR = 0.02; // a course has arrived when it stays as near as this to its end
  const LONG = 4000; // outer steps in which even the slowest course arrives
  const SLOWEST = 0.05, LEAST_RATE = 0.01;

  // ---- the formulas ------------------------------------------------------------------------------------------

  // The mean square of the Jacobian of each task, from points whose number divides the variance of one.
  const squares = ({ jacobian, variances }, points) => variances.map((variance) => jacobian ** 2 + variance / points);

  // The mean of theta after every outer step. Old memory and new points are independent, so that means are enough.
  function course(data, { rate, beta }, points, steps) {
    const { start, optima, jacobian } = data, square = squares(data, points);
    const path = [start];
    let theta = start, memory = [0, 0]; // u_b - c_b
    for (let t = 0; t < steps; t++) {
      const part = t === 0 ? 1 : rate; // the first solution fills the memory
      let slope = 0;
      memory = memory.map((old, b) => {
        const away = theta - optima[b];
        slope += ((1 - part) * jacobian * old + part * square[b] * away) / 2;
        return (1 - part) * old + part * jacobian * away;
      });
      theta -= beta * slope;
      path.push(theta);
    }
    return path;
  }

  // The weights of the tasks once theta rests, and the place that they give it.
  const weightsOf = ({ jacobian, variances }, rate, points) => variances.map((variance) => jacobian ** 2 + (rate * variance) / points);
  function endOf(data, rate, points) {
    const weights = weightsOf(data, rate, points);
    return (weights[0] * data.optima[0] + weights[1] * data.optima[1]) / (weights[0] + weights[1]);
  }

  // From which step on a course is near its end, or null.
  function arrival(path, end) {
    const last = path.findLastIndex((theta) => Math.abs(theta - end) >= NEAR);
    return last === path.length - 1 ? null : last + 1;
  }

  // Everything about a state {rate, shots, beta}: with a memory, without one, and with unlimited points.
  function compute(data, { rate, shots, beta }) {
    const one = (part, points) => {
      const path = course(data, { rate: part, beta }, points, LONG), end = endOf(data, part, points);
      return { course: path.slice(0, data.steps + 1), end, weights: weightsOf(data, part, points), overshoot: Math.max(0, end - Math.min(...path)), arrival: arrival(path, end) };
    };
    return { memory: one(rate, shots), maml: one(1, shots), exact: one(1, Infinity), equal: shots / rate };
  }

  // ---- what the figure says ----------------------------------------------------------------------------------

  const brief = (value) => String(Number(value.toPrecision(3)));
  const two = (value) => kit.fixed(value, 2);
  const when = ({ arrival: step }) => (step === null ? `is not within ${NEAR} of its end after ${LONG} steps` : `is within ${NEAR} of its end from step ${step} on`);

  function way({ memory, maml }, state) {
    if (state.rate === 1) return `The start ${when(maml)}.`;
    const past = memory.overshoot > 0.005 ? `the start overshoots its end by ${two(memory.overshoot)}, and ${when(memory)}` : `the start does not overshoot, and ${when(memory)}`;
    return `With the memory ${past}; without one from step ${maml.arrival} on.`;
  }

  function say(frame, data, state, now) {
    const number = (name) => kit.number(frame, kit.fixed(now[name].end, 3), name === "exact" ? null : data.roles[name]); // that one has no marker
    const points = `K = ${state.shots}`;
    const words = state.rate === 1
      ? kit.paragraph(`A memory of rate 1 is MAML. With ${points}, θ ends at `, number("memory"), " on average, and with unlimited points at ", number("exact"), ".")
      : kit.paragraph(`With ${points} and a memory of rate ${state.rate}, θ ends at `, number("memory"), " on average; without a memory at ", number("maml"), ", and with unlimited points at ", number("exact"), ".");
    const same = state.rate === 1 ? "" : ` MAML has this bias with K/rate = ${brief(now.equal)} points.`;
    frame.say(
      words,
      kit.paragraph(`Task 1 has the weight 1/4, task 2 has 1/4 + rate/(4K) = ${kit.fixed(now.memory.weights[1], 3)}.${same}`),
      kit.aside(way(now, state)),
    );
  }

  // ---- what the figure draws ---------------------------------------------------------------------------------

  // include beside
  const visible = (node, shown) => { node.style.display = shown ? "" : "none"; };

  function plots(frame, { steps }) {
    const part = halves(frame);
    const height = (width) => Math.round(kit.clamp(width * 0.8, 240, 320));
    const way = kit.plot(part, {
      margin: { left: 40, right: 12 }, height, label: "Mean of the start over the outer steps",
      x: { domain: [0, steps], ticks: [0, 50, 100, 150], label: "outer steps" }, y: { domain: [0, 2], ticks: [], label: "mean of θ" },
    });
    const end = kit.plot(part, {
      margin: { left: 40, right: 16 }, height, label: "Where the mean of the start ends, over the rate of the memory, which a rule moves",
      x: { domain: [0, 1], ticks: [0, 0.2, 0.4, 0.6, 0.8, 1], label: "rate of the memory" },
      y: { domain: [0.48, 0.68], ticks: [0.5, 0.55, 0.6, 0.65], label: "where it ends" },
    });
    end.picture.classList.add("mb-tappable");
    return { way, end, holder: sideBySide(way, end) };
  }

  function mark(view, role) {
    const node = kit.svg("path", { d: kit.outline(view.made.looks[role].marker, 5), fill: kit.colour(role), class: "mb-marker" });
    view.marks.append(node);
    return {
      draw: (x, y) => kit.set(node, { transform: `translate(${view.x(x)} ${view.y(y)})` }),
      show: (shown) => visible(node, shown),
    };
  }

  function build(frame, data) {
    const state = { ...data.first }, { steps, roles } = data;
    const times = Array.from({ length: steps + 1 }, (_, t) => t), rates = Array.from({ length: 101 }, (_, i) => i / 100);
    const { way, end, holder } = plots(frame, data);
    const names = ["exact", "maml", "memory"], curves = {};
    for (const name of names) curves[name] = [kit.curve(way, roles[name]), kit.curve(end, roles[name])];
    const here = mark(end, roles.memory);

    const sliders = {};
    const add = (name, label, min, max, step, format) => {
      sliders[name] = kit.slider({ name, label, min, max, step, value: state[name], format, change: (value) => apply({ [name]: value }) });
    };
    add("rate", "Rate of the memory", LEAST_RATE, 1, 0.01, two);
    add("shots", "Points K", 1, data.most, 1, String);
    add("beta", "Outer rate β", SLOWEST, 1, 0.05, two);
    // The slider below is this rule's access by keyboard.
    const cut = kit.handle(end, {
      role: "theta", rule: true, x: { min: LEAST_RATE, max: 1, step: 0.01 }, y: null,
      mirror: { node: sliders.rate.node.querySelector("input") }, move: (rate) => to(rate),
    });

    function redraw() {
      const now = compute(data, state), all = names.flatMap((name) => now[name].course);
      const low = Math.min(0, ...all) - 0.1, high = Math.max(...all) + 0.1, size = high - low > 3.5 ? 1 : 0.5;
      const first = Math.ceil(low / size), last = Math.floor(high / size);
      Object.assign(way.options.y, { domain: [low, high], ticks: Array.from({ length: last - first + 1 }, (_, i) => (first + i) * size || 0) });
      way.layout(way.width);
      for (const name of names) {
        curves[name][0].draw(times, now[name].course);
        curves[name][1].draw(rates, rates.map((rate) => (name === "memory" ? endOf(data, rate, state.shots) : now[name].end)));
      }
      here.draw(state.rate, now.memory.end);
      cut.place(state.rate, null);
      for (const [name, slider] of Object.entries(sliders)) slider.put(state[name]);
      say(frame, data, state, now);
      frame.figure.mamlbook.values = now;
    }

    function apply(change) {
      Object.assign(state, change);
      redraw();
    }
    const to = (rate) => apply({ rate: kit.clamp(Math.round(100 * rate) / 100, LEAST_RATE, 1) });

    end.onTap = to;
    const toggle = (...parts) => (shown) => parts.forEach((part) => part.show(shown));
    frame.live.append(
      kit.legend(frame, [
        { role: roles.memory, label: "With a memory", toggle: toggle(...curves.memory, here) },
        { role: roles.maml, label: "MAML, without", toggle: toggle(...curves.maml) },
        { role: roles.exact, label: "MAML, unlimited points", toggle: toggle(...curves.exact) },
      ]),
      holder,
      kit.html("p", { class: "mb-hint" }, "Drag the rule at the rate, click where it should be, or use the sliders."),
      kit.controls(...Object.values(sliders).map(({ node }) => node)),
      kit.buttons(kit.button("Reset", () => apply(data.first), "reset")),
      frame.says,
    );
    frame.onWidth(redraw);
    frame.figure.mamlbook.state = state;
    frame.figure.mamlbook.redraw = redraw;
  }

  book.memory = Object.freeze({ compute });
  kit.define("memory", build);
})();
