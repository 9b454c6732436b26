// Examples of a line that stand in a context: layers of linear attention answer as many gradient steps, softmax not.
(function () {
  "use strict";
  const book = window.mamlbook, kit = book.kit;
  if (book.context) return;

  // ---- the two computations ----------------------------------------------------------------------------------

  const features = (x) => [1, x];
  const dot = (a, b) => a[0] * b[0] + a[1] * b[1];

  // Gradient descent from zero on the mean squared error / 2 of y_hat = w . (1, x).
  function descend(points, alpha, steps) {
    let w = [0, 0];
    for (let s = 0; s < steps; s++) {
      const g = [0, 0];
      for (const [x, y] of points) {
        const f = features(x), off = dot(w, f) - y;
        g[0] += (off * f[0]) / points.length;
        g[1] += (off * f[1]) / points.length;
      }
      w = [w[0] - alpha * g[0], w[1] - alpha * g[1]];
    }
    return w;
  }

  // Tokens (features, entry); in each layer every token looks at the K examples, with weights that are inner products.
  // The entry of an example begins at its y, that of a question at 0, and ends at minus the answer.
  function attend(points, questions, alpha, layers) {
    const examples = points.map(([x, y]) => ({ f: features(x), r: y })), K = points.length;
    const asked = questions.map((x) => ({ f: features(x), r: 0 }));
    for (let l = 0; l < layers; l++) {
      const change = (token) => examples.reduce((sum, other) => sum + dot(other.f, token.f) * other.r, 0);
      const changes = [...examples, ...asked].map(change);
      [...examples, ...asked].forEach((token, i) => { token.r -= (alpha / K) * changes[i]; });
    }
    return asked.map((token) => -token.r);
  }

  // One head of softmax attention over the same inner products: a mean of the y, whatever the number of layers.
  function soften(points, questions) {
    return questions.map((x) => {
      const scores = points.map(([other]) => dot(features(other), features(x))), top = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - top)), sum = weights.reduce((a, b) => a + b, 0);
      return points.reduce((total, [, y], i) => total + (weights[i] / sum) * y, 0);
    });
  }

  // The largest eigenvalue of the mean of (1, x)(1, x)^T, which is the curvature of the support loss.
  function curvature(points) {
    const mean = (f) => points.reduce((sum, [x]) => sum + f(x), 0) / points.length;
    const one = mean((x) => x), two = mean((x) => x * x);
    return (1 + two) / 2 + Math.hypot((1 - two) / 2, one);
  }

  // Everything that the figure shows of a state {points, layers, alpha, question}.
  function compute({ points, layers, alpha, question }) {
    const w = descend(points, alpha, layers);
    return {
      w, steps: dot(w, features(question)), attention: attend(points, [question], alpha, layers)[0],
      softmax: soften(points, [question])[0], product: alpha * curvature(points),
    };
  }

  // ---- the figure --------------------------------------------------------------------------------------------

  // include examples

  const LOW = -2, HIGH = 2, TOP = 3, MOST = 12;
  const GRID = Array.from({ length: 81 }, (_, i) => LOW + ((HIGH - LOW) * i) / 80);

  function say(frame, { roles }, state, now) {
    const apart = Math.abs(now.steps - now.attention), number = (value, role) => kit.number(frame, kit.fixed(value, 3), role);
    const size = Math.max(1, Math.abs(now.steps));
    const same = apart < 1e-12 * size ? "They are the same number, to twelve digits." : `They differ by ${apart.toExponential(1)}, which is rounding.`;
    const advice = now.product > 2 ? "Here α times the largest curvature is above 2, and both grow with every layer." : `Here α times the largest curvature is ${kit.fixed(now.product, 2)}.`;
    frame.say(
      kit.paragraph(`At x = ${kit.fixed(state.question, 2)}, `, number(now.attention, roles.attention), ` after ${kit.plural(state.layers, "layer", "layers")} of linear attention and `, number(now.steps, "maml"), ` after ${kit.plural(state.layers, "gradient step", "gradient steps")}.`),
      kit.paragraph("One softmax head gives ", number(now.softmax, roles.softmax), "."),
      kit.aside(`${same} ${advice}`),
    );
  }

  function build(frame, data) {
    const { roles } = data, state = { ...data.first, points: data.first.points.map((point) => [...point]) };
    const view = kit.plot(frame, {
      x: { domain: [LOW, HIGH], ticks: [-2, -1, 0, 1, 2], label: "x" },
      y: { domain: [-TOP, TOP], ticks: [-3, -2, -1, 0, 1, 2, 3], label: "y" },
      height: (width) => Math.round(kit.clamp(width * 0.55, 270, 400)), label: "Examples of a context, movable, with the answers of attention and of gradient steps",
    });
    const steps = kit.curve(view, "maml"), soft = kit.curve(view, roles.softmax, { marked: 5 });
    steps.group.firstChild.style.strokeWidth = 5.5; // the marks of the attention lie on it
    const shape = kit.outline(frame.looks[roles.attention].marker, 5);
    const answers = Array.from({ length: 17 }, () => kit.svg("path", { d: shape, fill: kit.colour(roles.attention), class: "mb-marker" }));
    const group = kit.svg("g", { "clip-path": `url(#${view.clip})` }, ...answers);
    view.marks.append(group);
    const asked = answers.map((_, i) => LOW + ((HIGH - LOW) * (i + 0.5)) / answers.length);
    const question = kit.handle(view, {
      role: "query", rule: true, x: { min: LOW, max: HIGH, step: 0.05 }, y: null,
      label: () => "Question x", at: () => ({ x: state.question, y: null }),
      value: () => ({ now: Number(state.question.toFixed(4)), text: `x ${kit.fixed(state.question, 2)}` }),
      move: (x) => { state.question = x; redraw(); },
    });

    const place = movable(view, state, { word: "Example", low: LOW, high: HIGH, top: TOP, most: MOST, redraw });

    function redraw() {
      const now = compute(state), { points, layers, alpha } = state;
      steps.draw([LOW, HIGH], [LOW, HIGH].map((x) => dot(now.w, features(x))));
      soft.draw(GRID, soften(points, GRID));
      attend(points, asked, alpha, layers).forEach((y, i) => {
        const inside = Math.abs(y) <= TOP;
        kit.set(answers[i], { transform: inside ? `translate(${view.x(asked[i])} ${view.y(y)})` : null, display: inside ? null : "none" });
      });
      place();
      question.place(state.question, null);
      say(frame, data, state, now);
      frame.figure.mamlbook.values = now;
    }

    const put = (name) => (value) => { state[name] = value; redraw(); };
    const sliders = {
      layers: kit.slider({ label: "Layers = gradient steps", name: "layers", min: 0, max: 20, value: state.layers, change: put("layers") }),
      alpha: kit.slider({ label: "Step size α", name: "alpha", min: 0, max: 1, step: 0.01, value: state.alpha, format: (value) => kit.fixed(value, 2), change: put("alpha") }),
    };
    function reset() {
      Object.assign(state, data.first, { points: data.first.points.map((point) => [...point]) });
      for (const name in sliders) sliders[name].put(state[name]);
      redraw();
    }
    const shown = { show: (visible) => { group.style.display = visible ? "" : "none"; } };
    frame.live.append(
      kit.legend(frame, [
        { role: roles.attention, label: "Linear attention", dot: true, toggle: (visible) => shown.show(visible) },
        { role: "maml", label: "Gradient steps", toggle: (visible) => steps.show(visible) },
        { role: roles.softmax, label: "One softmax head", toggle: (visible) => soft.show(visible) },
        { role: "support", label: "Examples", dot: true },
      ]),
      view.holder,
      kit.html("p", { class: "mb-hint" }, "Drag an example, or move it with the arrow keys. Click to add one; double-click or Delete takes one away. The handle below the plot moves the question."),
      kit.controls(sliders.layers.node, sliders.alpha.node),
      kit.buttons(kit.button("Reset", reset, "reset")),
      frame.says,
    );
    frame.onWidth(redraw);
    frame.figure.mamlbook.state = state;
    frame.figure.mamlbook.redraw = redraw;
  }

  book.context = Object.freeze({ compute, attend, descend, soften });
  kit.define("context", build);
})();
