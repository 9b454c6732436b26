// A start with its inner steps as a Gaussian prior: lines y = c x + noise, gradient steps on the slope, the posterior
// of the prior that the steps amount to, and the posterior of the tasks themselves.
(function () {
  "use strict";
  const book = window.mamlbook, kit = book.kit;
  if (book.prior) return;

  const STEPS = 40, Z = 1.959963984540054; // 95 % of a Gaussian lie within Z deviations
  const STEP_ROLE = "maml", EXACT = "truth";

  // ---- the formulas ------------------------------------------------------------------------------------------

  // Rounding makes 1 - 0.2 * 5 and its like only nearly zero.
  const snap = (value) => (Math.abs(value) < 1e-12 ? 0 : value);

  // The distribution function of a standard Gaussian, by a series whose terms are all positive.
  function below(z) {
    if (Math.abs(z) > 8) return z > 0 ? 1 : 0;
    let term = z, sum = z;
    for (let n = 3; Math.abs(term) > 1e-18 * Math.abs(sum); n += 2) {
      term *= (z * z) / n;
      sum += term;
    }
    return 0.5 + (sum * Math.exp(-z * z / 2)) / Math.sqrt(2 * Math.PI);
  }

  const gauss = (at, mean, variance) => Math.exp(-((at - mean) ** 2) / (2 * variance)) / Math.sqrt(2 * Math.PI * variance);

  // The variance of the prior that s steps amount to, or null where there is none.
  function priorOf(h, alpha, s, noise) {
    const left = snap(1 - alpha * h) ** s;
    return left > 0 && left <= 1 ? (noise ** 2 / h) * (1 / left - 1) : null;
  }

  // Slope and variance that Bayes' rule makes of a prior without or with a width.
  function rule(h, fit, mean, variance, noise) {
    if (variance === 0) return { mean, variance: 0 };
    const precision = 1 / variance + h / noise ** 2;
    return { mean: (mean / variance + (h * fit) / noise ** 2) / precision, variance: 1 / precision };
  }

  // Everything about a state {theta, alpha, steps, shots}.
  function compute({ x, y, tau, noise }, { theta, alpha, steps, shots }) {
    const own = x.slice(0, shots);
    const h = own.reduce((sum, one) => sum + one * one, 0), fit = own.reduce((sum, one, i) => sum + one * y[i], 0) / h;
    const factor = snap(1 - alpha * h), path = [];
    let phi = theta;
    for (let s = 0; s <= STEPS; s++) {
      const prior = priorOf(h, alpha, s, noise);
      path.push({ phi, prior, believed: prior === null ? null : rule(h, fit, theta, prior, noise) });
      phi -= alpha * h * (phi - fit);
    }
    const now = path[steps], left = factor ** steps;
    const bias = left * theta, deviation = Math.sqrt(left ** 2 * tau ** 2 + ((1 - left) ** 2 * noise ** 2) / h);
    let covered = null;
    if (now.believed) {
      const half = Z * Math.sqrt(now.believed.variance);
      covered = below((half - bias) / deviation) - below((-half - bias) / deviation);
    }
    return { h, fit, factor, path, ...now, covered, risk: bias ** 2 + deviation ** 2, exact: rule(h, fit, 0, tau ** 2, noise) };
  }

  // ---- what the figure says ----------------------------------------------------------------------------------

  const two = (value) => kit.fixed(value, 2);
  const within = ({ mean, variance }) => `${two(mean)} ± ${two(Z * Math.sqrt(variance))}`;

  function prior(now, steps) {
    if (steps === 0) return "Before any step the prior has no width: the start is believed, and the points are not.";
    if (now.prior === null) return `No Gaussian prior: αh = ${two(1 - now.factor)}, and ${kit.plural(steps, "step", "steps")} of this size leave ${kit.short(now.factor ** steps)} of the distance, which Bayes’ rule never does.`;
    return `These steps amount to a prior of deviation ${kit.short(Math.sqrt(now.prior))}; the slopes of the tasks have the deviation 1.`;
  }

  function verdict(covered) {
    const percent = 100 * covered;
    if (percent < 94.5) return "too narrow";
    return percent > 95.5 ? "too wide" : "about right";
  }

  function say(frame, state, now) {
    const number = (text) => kit.number(frame, text);
    const parts = [kit.paragraph("The steps end at ", number(two(now.phi)), "; the posterior of the tasks is ", number(within(now.exact)), ".")];
    parts.push(kit.paragraph(prior(now, state.steps)));
    if (now.covered !== null && state.steps > 0) {
      parts.push(kit.aside(`Read as a posterior, the steps say ${within(now.believed)}. Such 95 % intervals hold the slopes of ${Math.round(100 * now.covered)} % of all tasks with these inputs: ${verdict(now.covered)}.`));
    }
    frame.say(...parts);
  }

  // ---- what the figure draws ---------------------------------------------------------------------------------

  const range = (low, high, count) => Array.from({ length: count + 1 }, (_, i) => low + ((high - low) * i) / count);
  const visible = (node, shown) => { node.style.display = shown ? "" : "none"; };

  // A curve with a band around it; a place without a number is a gap in both.
  function banded(view, role) {
    const band = kit.svg("path", { fill: kit.colour(role), "fill-opacity": 0.16 });
    view.curves.prepend(band);
    const line = kit.curve(view, role);
    const corner = (x, y) => `${view.x(x).toFixed(1)} ${kit.clamp(view.y(y), -9999, 9999).toFixed(1)}`;
    return {
      draw(xs, means, halves) {
        line.draw(xs, means);
        let text = "";
        for (let i = 1; i < xs.length; i++) {
          if (halves[i] === null || halves[i - 1] === null) continue;
          text += `M${corner(xs[i - 1], means[i - 1] + halves[i - 1])}L${corner(xs[i], means[i] + halves[i])}`;
          text += `L${corner(xs[i], means[i] - halves[i])}L${corner(xs[i - 1], means[i - 1] - halves[i - 1])}Z`;
        }
        kit.set(band, { d: text });
      },
      show(shown) { line.show(shown); visible(band, shown); },
    };
  }

  // The posterior means of the implied priors, as marks on the path at every fourth step.
  function marks(view, role) {
    const shape = kit.outline(view.made.looks[role].marker, 3.6);
    const group = kit.svg("g", { "clip-path": `url(#${view.clip})` });
    view.marks.append(group);
    return {
      draw(path) {
        group.replaceChildren(...path.flatMap(({ believed }, s) => (believed && s % 4 === 0 ? [kit.svg("path", {
          d: shape, fill: kit.colour(role), class: "mb-marker", transform: `translate(${view.x(s)} ${kit.clamp(view.y(believed.mean), -999, 9999)})`,
        })] : [])));
      },
      show(shown) { visible(group, shown); },
    };
  }

  // include beside

  function plots(frame, [low, high]) {
    const part = halves(frame);
    const height = (width) => Math.round(kit.clamp(width * 0.8, 250, 320));
    const path = kit.plot(part, {
      margin: { left: 36, right: 8 }, height, x: { domain: [-1, STEPS + 1], ticks: [0, 10, 20, 30, 40], label: "inner steps" },
      y: { domain: [low, high], ticks: [-2, -1, 0, 1, 2], label: "slope φ" }, label: "Slope after every inner step, with a movable number of steps and a movable start",
    });
    const belief = kit.plot(part, {
      margin: { left: 36, right: 8 }, height, x: { domain: [low, high], ticks: [-2, -1, 0, 1, 2], label: "slope" },
      y: { domain: [0, 2], ticks: [0, 0.5, 1, 1.5, 2], label: "density" }, label: "Densities of the slope: the prior, its posterior and the posterior of the tasks",
    });
    for (const view of [path, belief]) {
      view.picture.classList.add("mb-tappable");
    }
    return { path, belief, holder: sideBySide(path, belief) };
  }

  function build(frame, data) {
    const state = { ...data.first }, [low, high] = data.range, steps = range(0, STEPS, STEPS), slopes = range(low, high, 300);
    const { path, belief, holder } = plots(frame, data.range);
    const exact = [banded(path, EXACT), kit.curve(belief, EXACT)];
    const way = [banded(path, STEP_ROLE), kit.curve(belief, STEP_ROLE)];
    const assumed = [marks(path, data.roles.prior), kit.curve(belief, data.roles.prior)];
    const density = (one) => slopes.map((slope) => (one && one.variance > 0 ? gauss(slope, one.mean, one.variance) : null));

    const start = kit.handle(path, {
      role: "theta", x: { min: 0, max: 0, step: 1 }, y: { min: low, max: high, step: 0.05 },
      label: () => "Start theta", at: () => ({ x: 0, y: state.theta }),
      value: () => ({ now: Number(state.theta.toFixed(4)), text: `theta ${two(state.theta)}` }), move: (_, y) => apply({ theta: y }),
    });
    const sliders = {};
    const add = (name, label, min, max, step, format) => {
      sliders[name] = kit.slider({ name, label, min, max, step, value: state[name], format, change: (value) => apply({ [name]: value }) });
    };
    add("alpha", "Step size α", 0.01, 0.25, 0.01, two);
    add("steps", "Inner steps S", 0, STEPS, 1, String);
    add("shots", "Points K", 1, data.x.length, 1, String);
    // The slider below is this rule's access by keyboard.
    const cut = kit.handle(path, {
      role: "theta", rule: true, x: { min: 0, max: STEPS, step: 1, stops: steps }, y: null,
      mirror: { node: sliders.steps.node.querySelector("input") }, move: (x) => apply({ steps: x }),
    });

    function redraw() {
      const now = compute(data, state), half = Z * Math.sqrt(now.exact.variance);
      exact[0].draw([0, STEPS], [now.exact.mean, now.exact.mean], [half, half]);
      way[0].draw(steps, now.path.map(({ phi }) => phi), now.path.map(({ believed }) => (believed ? Z * Math.sqrt(believed.variance) : null)));
      assumed[0].draw(now.path);
      exact[1].draw(slopes, density(now.exact));
      way[1].draw(slopes, density(now.believed));
      assumed[1].draw(slopes, density(now.prior === null ? null : { mean: state.theta, variance: now.prior }));
      start.place(0, state.theta);
      cut.place(state.steps, null);
      say(frame, state, now);
      frame.figure.mamlbook.values = now;
    }

    function apply(change) {
      Object.assign(state, change);
      for (const [name, slider] of Object.entries(sliders)) slider.put(state[name]);
      redraw();
    }

    path.onTap = (x) => apply({ steps: kit.nearestStop(x, steps) });
    const toggle = (parts) => (shown) => parts.forEach((part) => part.show(shown));
    frame.live.append(
      kit.legend(frame, [
        { role: STEP_ROLE, label: "Gradient steps, and their posterior", toggle: toggle(way) },
        { role: data.roles.prior, label: "Bayes’ rule with the prior of the steps", toggle: toggle(assumed) },
        { role: EXACT, label: "Posterior of the tasks", toggle: toggle(exact) },
      ]),
      holder,
      kit.html("p", { class: "mb-hint" }, "Drag the start θ up and down, and the rule at S sideways, or use the arrow keys and the sliders."),
      kit.controls(...Object.values(sliders).map(({ node }) => node)),
      kit.buttons(
        kit.button("One short step", () => apply({ theta: 0, alpha: 0.05, steps: 1, shots: 5 }), "short"),
        kit.button("As sure as the tasks", () => apply({ theta: 0, alpha: 0.05, steps: data.best, shots: 5 }), "best"),
        kit.button("No prior", () => apply({ theta: 0, alpha: 0.2, steps: 1, shots: data.x.length }), "none"),
        kit.button("Reset", () => apply(data.first), "reset"),
      ),
      frame.says,
    );
    frame.onWidth(redraw);
    frame.figure.mamlbook.state = state;
    frame.figure.mamlbook.redraw = redraw;
  }

  book.prior = Object.freeze({ compute });
  kit.define("prior", build);
})();
