// A loss after S steps as a function of the inner rate: what every direction keeps, and how large the slopes are.
(function () {
  "use strict";
  const book = window.mamlbook, kit = book.kit;
  if (book.rates) return;

  const LOSS = "first", LOGARITHM = "second", PART = "third"; // curves of one loss: no methods

  // ---- the formulas ------------------------------------------------------------------------------------------

  // The loss after S steps over the loss before, and the slopes in the inner rate of F and of log F / S. Every
  // direction has the same squared coordinate, 1 over their number.
  function at(h, alpha, S) {
    let after = 0, before = 0, sum = 0;
    for (const one of h) {
      const r = 1 - alpha * one, power = r ** (2 * S - 1);
      after += one * power * r;
      before += one;
      sum += one * one * power;
    }
    return { kept: after / before, slope: (-S * sum) / h.length, logSlope: (-2 * sum) / after };
  }

  // The rate with the least loss: F is convex, so that its slope changes sign once.
  function bestOf(h, S, [low, high]) {
    for (let n = 0; n < 80; n++) {
      const middle = (low + high) / 2;
      if (at(h, middle, S).slope < 0) low = middle;
      else high = middle;
    }
    return (low + high) / 2;
  }

  // Everything about a state {alpha, steps, low}. needed: the outer rates that lead to the best inner rate at once.
  function compute({ count, range, ends }, { alpha, steps, low }) {
    const h = Array.from({ length: count }, (_, i) => low + ((1 - low) * i) / (count - 1));
    const best = bestOf(h, steps, range);
    const needed = (from) => {
      const { slope, logSlope } = at(h, from, steps);
      return { loss: (from - best) / slope, logarithm: (from - best) / logSlope };
    };
    const [first, last] = ends.map(needed);
    return {
      h, best, ...at(h, alpha, steps), parts: h.map((one) => (1 - alpha * one) ** (2 * steps)),
      overshoot: h.filter((one) => alpha * one > 1 + 1e-12).length, grow: h.filter((one) => alpha * one > 2 + 1e-12).length,
      needed: needed(alpha), apart: { loss: first.loss / last.loss, logarithm: first.logarithm / last.logarithm },
    };
  }

  // ---- what the figure says ----------------------------------------------------------------------------------

  const two = (value) => kit.fixed(value, 2);
  const raised = (power) => String(power).replace(/./g, (sign) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[sign] || "⁻");

  // Two digits, with a power of ten where the number is very small or very large.
  function scaled(value) {
    if (value === 0) return "0";
    const [digits, power] = value.toExponential(1).split("e").map(Number);
    if (power >= -3 && power < 4) return kit.minus(String(Number(value.toPrecision(2))));
    return `${kit.minus(digits.toFixed(1))}\u00a0·\u00a010${raised(power)}`;
  }

  function directions({ overshoot, grow, h }) {
    if (overshoot === 0) return "No direction overshoots its minimum.";
    const over = `${overshoot} of ${h.length} directions overshoot`;
    return grow === 0 ? `${over}; none of them grows.` : `${over}; ${grow} of them, with αh above 2, ${grow === 1 ? "grows" : "grow"} at every step.`;
  }

  function say(frame, data, state, now) {
    const number = (value, role) => kit.number(frame, scaled(value), role);
    const [low, high] = data.ends.map(String);
    frame.say(
      kit.paragraph(`At α = ${two(state.alpha)} the loss after ${kit.plural(state.steps, "step", "steps")} is `, number(now.kept), ` of the loss before. ${directions(now)}`),
      Math.abs(state.alpha - now.best) < 0.005
        ? kit.paragraph(`This is the best rate, ${two(now.best)}, and both slopes are as good as zero.`)
        : kit.paragraph(`To reach the best rate, ${two(now.best)}, in one outer step, descent on F needs β = `, number(now.needed.loss, LOSS), ", and descent on log\u00a0F\u00a0/\u00a0S needs β = ", number(now.needed.logarithm, LOGARITHM), "."),
      kit.aside(`Between the starts ${low} and ${high} these β differ by a factor of ${scaled(Math.max(now.apart.loss, 1 / now.apart.loss))} on F and of ${scaled(Math.max(now.apart.logarithm, 1 / now.apart.logarithm))} on log\u00a0F\u00a0/\u00a0S.`),
    );
  }

  // ---- what the figure draws ---------------------------------------------------------------------------------

  // include beside
  const visible = (node, shown) => { node.style.display = shown ? "" : "none"; };
  const power = (value) => (value === 0 ? -400 : Math.log10(Math.abs(value))); // far below every axis

  function plots(frame, data) {
    const part = halves(frame);
    const height = (width) => Math.round(kit.clamp(width * 0.8, 250, 310));
    const x = { domain: data.range, ticks: [0, 0.5, 1, 1.5, 2, 2.5, 3], label: "inner rate α" };
    const loss = kit.plot(part, {
      margin: { left: 42, right: 12 }, height, x, y: { domain: [-1, 1], ticks: [], label: "loss after / before, as a power of ten" },
      label: "Loss after the steps over the loss before, over the inner rate, with a movable rate",
    });
    const slopes = kit.plot(part, {
      margin: { left: 42, right: 12 }, height, x, y: { domain: [-50, 50], ticks: [-40, -20, 0, 20, 40], label: "size of the slope, as a power of ten" },
      label: "Size of the slopes of F and of its logarithm over the inner rate",
    });
    for (const view of [loss, slopes]) {
      view.picture.classList.add("mb-tappable");
    }
    return { loss, slopes, holder: sideBySide(loss, slopes) };
  }

  // The best rate, a thin line with its name at the lower end.
  function bestMark(view) {
    const line = kit.svg("line", { stroke: kit.colour("muted"), "stroke-width": 1.5 });
    const name = kit.svg("text", { class: "mb-halo mb-axis-label" }, "best");
    view.marks.append(line, name);
    return (best) => {
      const [low, high] = view.options.y.domain, x = view.x(best);
      kit.set(line, { x1: x, x2: x, y1: view.y(low), y2: view.y(high) });
      kit.set(name, { x: x + 6, y: view.y(low) - 8 });
    };
  }

  // The names of the flattest and the steepest direction at their right ends.
  function partNames(view) {
    const names = [0, 1].map(() => kit.svg("text", { class: "mb-halo", "text-anchor": "end" }));
    const group = kit.svg("g", {}, ...names);
    view.marks.append(group);
    return {
      draw(h, S, end) {
        [h[0], h[h.length - 1]].forEach((one, i) => {
          names[i].textContent = `h = ${Number(one.toFixed(2))}`;
          const y = view.y(power((1 - end * one) ** (2 * S)));
          visible(names[i], y < view.y(view.options.y.domain[0]));
          kit.set(names[i], { x: view.x(end) - 4, y: i === 0 ? y - 8 : Math.max(y + 4, view.y(view.options.y.domain[1]) + 12), dx: i === 0 ? 0 : -26 });
        });
      },
      show(shown) { visible(group, shown); },
    };
  }

  // The y axis of the left plot: from below the least loss, and the flattest direction if it has room, to the largest.
  function axis(view, loss, flattest, most) {
    const least = Math.min(loss, Math.max(flattest, 1.6 * loss));
    const step = [0.2, 0.5, 1, 2, 5, 10, 20].find((one) => (most - least) / one <= 8);
    const low = Math.floor(least / step) * step, high = Math.ceil(most / step) * step;
    view.options.y.domain = [low, high];
    view.options.y.ticks = Array.from({ length: Math.round((high - low) / step) + 1 }, (_, i) => Number((low + i * step).toFixed(1)));
    view.layout(view.width);
  }

  function build(frame, data) {
    const state = { ...data.first }, [low, high] = data.range;
    const { loss, slopes, holder } = plots(frame, data);
    const xs = Array.from({ length: 401 }, (_, i) => low + ((high - low) * i) / 400);
    const parts = Array.from({ length: data.count }, () => kit.curve(loss, PART, { faint: true }));
    const whole = kit.curve(loss, LOSS), raw = kit.curve(slopes, LOSS, { marked: 4 }), logarithm = kit.curve(slopes, LOGARITHM, { marked: 4 });
    const bests = [loss, slopes].map(bestMark), names = partNames(loss);
    const put = (change) => (value) => { change(value); redraw(); };
    const move = (alpha) => { state.alpha = kit.clamp(alpha, low, high); redraw(); };
    const options = { role: "theta", rule: true, x: { min: low, max: high, step: 0.01 }, y: null, move };
    const rule = kit.handle(loss, {
      ...options, label: () => "Inner rate alpha", at: () => ({ x: state.alpha, y: null }),
      value: () => ({ now: Number(state.alpha.toFixed(4)), text: `alpha ${two(state.alpha)}` }),
    });
    const second = kit.handle(slopes, { ...options, mirror: rule });
    const sliders = {
      steps: kit.slider({ label: "Inner steps S", name: "steps", min: 0, max: data.steps.length - 1, value: data.steps.indexOf(state.steps), format: (i) => String(data.steps[i]), change: put((i) => { state.steps = data.steps[i]; }) }),
      low: kit.slider({ label: "Smallest curvature h (the largest is 1)", name: "low", min: 0.05, max: 0.3, step: 0.05, value: state.low, format: two, change: put((v) => { state.low = v; }) }),
    };

    function redraw() {
      const now = compute(data, state), { h, best } = now, S = state.steps;
      const drawn = xs.map((x) => at(h, x, S));
      axis(loss, power(at(h, best, S).kept), power((1 - high * h[0]) ** (2 * S)), 2 * S * Math.log10(high - 1));
      parts.forEach((curve, i) => curve.draw(xs, xs.map((x) => power((1 - x * h[i]) ** (2 * S)))));
      whole.draw(xs, drawn.map(({ kept }) => power(kept)));
      raw.draw(xs, drawn.map(({ slope }) => power(slope)));
      logarithm.draw(xs, drawn.map(({ logSlope }) => power(logSlope)));
      bests.forEach((draw) => draw(best));
      names.draw(h, S, high);
      rule.place(state.alpha, null);
      second.place(state.alpha, null);
      say(frame, data, state, now);
      frame.figure.mamlbook.values = now;
    }

    function reset() {
      Object.assign(state, data.first);
      sliders.steps.put(data.steps.indexOf(state.steps));
      sliders.low.put(state.low);
      redraw();
    }

    loss.onTap = slopes.onTap = move;
    const all = (...curves) => (shown) => curves.forEach((curve) => curve.show(shown));
    frame.live.append(
      kit.legend(frame, [
        { role: LOSS, label: "F, and its slope", toggle: all(whole, raw) },
        { role: LOGARITHM, label: "Slope of log\u00a0F\u00a0/\u00a0S", toggle: all(logarithm) },
        { role: PART, label: "One direction of curvature h", toggle: all(...parts, names) },
      ]),
      holder,
      kit.html("p", { class: "mb-hint" }, "Drag α, click where it should be, or move it with the arrow keys."),
      kit.controls(sliders.steps.node, sliders.low.node),
      kit.buttons(
        ...data.ends.map((end) => kit.button(`α to ${end}`, () => move(end), `to-${end}`)),
        kit.button("α to the best", () => move(compute(data, state).best), "best"), kit.button("Reset", reset, "reset"),
      ),
      frame.says,
    );
    frame.onWidth(redraw);
    frame.figure.mamlbook.state = state;
    frame.figure.mamlbook.redraw = redraw;
  }

  book.rates = Object.freeze({ compute });
  kit.define("rates", build);
})();
