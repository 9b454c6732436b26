// The head of a network solved for by ridge regression on its features, beside gradient steps on the same objective.
(function () {
  "use strict";
  const book = window.mamlbook, kit = book.kit;
  if (book.ridge) return;

  const LOW = -5, HIGH = 5, TOP = 5.5; // the plot: x in [-5, 5], y in [-5.5, 5.5]
  const NEAR = 0.01; // curves that are nearer than this everywhere count as one
  const GRID = Float64Array.from({ length: 201 }, (_, i) => LOW + ((HIGH - LOW) * i) / 200);

  // include network
  // include examples

  // ---- the formulas ------------------------------------------------------------------------------------------

  // Outputs of the start, and what its head sees.
  function features(start, xs) {
    const hidden = scratch(start), outputs = [], rows = [];
    for (const x of xs) {
      outputs.push(forward(start, x, hidden));
      rows.push(Float64Array.from(hidden.second));
    }
    return { outputs, rows };
  }

  // The kernel <z, z'> + 1 between all pairs; the 1 is the head's bias.
  const kernel = (left, right) => left.map((a) => Float64Array.from(right, (b) => a.reduce((sum, one, i) => sum + one * b[i], 1)));
  const times = (matrix, vector) => Float64Array.from(matrix, (row) => { let sum = 0; for (let i = 0; i < row.length; i++) sum += row[i] * vector[i]; return sum; });

  // The weights w, the bias last, that minimise |Z w - residual|^2 + pull |w|^2: the same as Z^T (Z Z^T + pull I)^-1
  // residual, but a rotation for each entry of Z loses no digits where the pull is small.
  function solve(rows, residual, pull) {
    const width = rows[0].length + 1, factor = Array.from({ length: width }, (_, j) => new Float64Array(width + 1).fill(Math.sqrt(pull), j, j + 1));
    rows.forEach((features, i) => {
      const row = Float64Array.of(...features, 1, residual[i]);
      for (let j = 0; j < width; j++) {
        if (row[j] === 0) continue;
        const own = factor[j], size = Math.hypot(own[j], row[j]), c = own[j] / size, s = row[j] / size;
        for (let k = j; k <= width; k++) [own[k], row[k]] = [c * own[k] + s * row[k], c * row[k] - s * own[k]];
      }
    });
    const w = new Float64Array(width);
    for (let j = width - 1; j >= 0; j--) {
      w[j] = factor[j][width];
      for (let k = j + 1; k < width; k++) w[j] -= factor[j][k] * w[k];
      w[j] /= factor[j][j];
    }
    return w;
  }

  // The largest eigenvalue of a kernel matrix, by its powers; all entries of one row of features are 0 or more.
  function largest(matrix) {
    let vector = Float64Array.from(matrix, () => 1), size = 1;
    for (let n = 0; n < 300; n++) {
      vector = times(matrix, vector);
      size = Math.hypot(...vector);
      vector = vector.map((one) => one / size);
    }
    return size;
  }

  // Coefficients after each number of steps in `stops`, of gradient descent on the head: W - W_theta stays a sum of the
  // features of the points, a <- a + 2 alpha / K (residual - (k + lam K I) a).
  function descendHead(matrix, residual, alpha, stops) {
    const n = residual.length, rate = (2 * alpha) / n, a = new Float64Array(n), before = new Float64Array(n), found = [];
    for (let s = 0, at = 0; at < stops.length; s++) {
      if (s === stops[at]) { found.push(Float64Array.from(a)); at++; }
      before.set(a);
      for (let i = 0; i < n; i++) {
        const row = matrix[i];
        let sum = residual[i];
        for (let k = 0; k < n; k++) sum -= row[k] * before[k];
        a[i] += rate * sum;
      }
    }
    return found;
  }

  const apart = (a, b) => a.reduce((most, one, i) => Math.max(most, Math.abs(one - b[i])), 0);
  const wave = (state, x) => state.amplitude * Math.sin(x - state.phase);

  // Everything about a state {points, lam, steps, amplitude, phase}.
  function compute({ start, stops }, state) {
    const { points, lam } = state, n = points.length;
    const own = features(start, points.map(([x]) => x)), all = features(start, GRID);
    const gram = kernel(own.rows, own.rows), across = kernel(all.rows, own.rows);
    const residual = points.map(([, y], i) => y - own.outputs[i]);
    const ridge = gram.map((row, i) => row.map((one, j) => one + (i === j ? lam * n : 0)));
    const alpha = 1 / (2 * (largest(gram) / n + lam));
    const truth = GRID.map((x) => wave(state, x));
    // What a head adds to the start, at the grid and at the points.
    const of = (added, fitted) => {
      const outputs = GRID.map((_, i) => all.outputs[i] + added[i]);
      return { outputs, points: residual.reduce((sum, one, i) => sum + (one - fitted[i]) ** 2, 0) / n, wave: squaredGap(outputs, truth) };
    };
    const w = solve(own.rows, residual, lam * n);
    const reads = (rows) => Float64Array.from(rows, (row) => row.reduce((sum, one, j) => sum + one * w[j], w.at(-1)));
    const solved = of(reads(all.rows), reads(own.rows));
    const path = descendHead(ridge, residual, alpha, stops).map((a) => of(times(across, a), times(gram, a)));
    const gaps = path.map(({ outputs }) => apart(outputs, solved.outputs)), at = stops.indexOf(state.steps);
    const far = gaps.findLastIndex((gap) => gap >= NEAR);
    return { truth, solved, steps: path[at], start: path[0], alpha, gap: gaps[at], last: gaps.at(-1), enough: far + 1 < stops.length ? stops[far + 1] : null };
  }

  // ---- the figure --------------------------------------------------------------------------------------------

  const counted = (steps) => (steps === 1 ? "1 step" : `${steps.toLocaleString("en")} steps`);

  const plain = (value) => value.toLocaleString("en", { maximumFractionDigits: 6 });

  // The first number of steps that comes near the solution, and the last that does not.
  function reach(stops, { enough, last }) {
    const within = `within ${NEAR} of the solution everywhere`;
    if (enough === null) return `even ${counted(stops.at(-1))} do not come ${within}: they end up to ${kit.short(last)} away`;
    if (enough === 0) return `the start itself is ${within}`;
    const before = stops[stops.indexOf(enough) - 1], verb = (number, one, many) => (number === 1 ? one : many);
    const not = before > 0 ? `; ${before.toLocaleString("en")} ${verb(before, "does", "do")} not` : "";
    return `${counted(enough)} ${verb(enough, "comes", "come")} ${within}${not}`;
  }

  function say(frame, { roles, stops }, state, now) {
    const number = (value, role) => kit.number(frame, kit.short(value), role);
    const gap = now.gap < 0.001 ? ". The two curves are less than 0.001 apart." : `. The two curves are up to ${kit.short(now.gap)} apart.`;
    const steps = state.steps === 0
      ? kit.paragraph("Without a step, at the start: ", number(now.steps.points, roles.steps), " and ", number(now.steps.wave), gap)
      : kit.paragraph(`After ${counted(state.steps)} on the head: `, number(now.steps.points, roles.steps), " and ", number(now.steps.wave), gap);
    frame.say(
      kit.paragraph(`Solved with λ = ${plain(state.lam)}, the error is `, number(now.solved.points, roles.solved), " on the points and ", number(now.solved.wave), " on the whole wave."),
      steps,
      kit.aside(`At this λ, ${reach(stops, now)}. A step has the size ${kit.short(now.alpha)}.`),
    );
  }

  function first(data) {
    const { number, ...state } = data.first;
    state.points = data.places.slice(0, number).map((x) => [x, wave(state, x)]);
    return state;
  }

  function build(frame, data) {
    const state = first(data), { roles, ridges, stops, places } = data, names = ["truth", "start", "steps", "solved"];
    const view = kit.plot(frame, {
      x: { domain: [LOW, HIGH], ticks: [-4, -2, 0, 2, 4], label: "x" }, y: { domain: [-TOP, TOP], ticks: [-4, -2, 0, 2, 4], label: "y" },
      height: (width) => Math.round(kit.clamp(width * 0.52, 270, 400)), label: "Plot with movable points",
    });
    // The solution is the only solid line; its marks would look like points.
    const curves = Object.fromEntries(names.map((name) => [name, kit.curve(view, roles[name], { marked: name === "solved" ? 0 : 5 })]));
    const slide = (name, label, all) => kit.slider({
      name, label, min: 0, max: all.length - 1, value: all.indexOf(state[name]), format: (i) => plain(all[i]),
      change: (i) => { state[name] = all[i]; redraw(); },
    });
    const sliders = { lam: slide("lam", "Ridge λ", ridges), steps: slide("steps", "Gradient steps S", stops) };
    const number = kit.slider({
      label: "Points K", name: "points", min: 1, max: places.length, value: state.points.length,
      change: (value) => {
        while (state.points.length > value) state.points.pop();
        while (state.points.length < value) {
          const x = places[state.points.length];
          state.points.push([x, wave(state, x)]);
        }
        redraw();
      },
    });
    const place = movable(view, state, { word: "Point", low: LOW, high: HIGH, top: TOP, most: places.length, redraw });

    function redraw() {
      const now = compute(data, state);
      curves.truth.draw(GRID, now.truth);
      names.slice(1).forEach((name, i) => curves[name].draw(GRID, now[name].outputs, 0.2 + 0.3 * i));
      place();
      number.put(state.points.length);
      say(frame, data, state, now);
      frame.figure.mamlbook.values = now;
    }

    function reset() {
      Object.assign(state, first(data));
      sliders.lam.put(ridges.indexOf(state.lam));
      sliders.steps.put(stops.indexOf(state.steps));
      redraw();
    }

    const words = { solved: "Solved", steps: "Steps on the head", start: "Start", truth: "True wave" };
    frame.live.append(
      kit.legend(frame, Object.keys(words).map((name) => ({ role: roles[name], label: words[name], toggle: (shown) => curves[name].show(shown) }))),
      view.holder,
      kit.html("p", { class: "mb-hint" }, "Drag a point, or move it with the arrow keys. Click to add a point; double-click or Delete takes one away."),
      kit.controls(sliders.lam.node, sliders.steps.node, number.node),
      kit.buttons(kit.button("Reset", reset, "reset")),
      frame.says,
    );
    frame.onWidth(redraw);
    frame.figure.mamlbook.state = state;
    frame.figure.mamlbook.redraw = redraw;
  }

  book.ridge = Object.freeze({ compute });
  kit.define("ridge", build);
})();
