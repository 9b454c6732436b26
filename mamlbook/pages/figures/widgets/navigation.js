// A point in the plane learns the way to a goal that the reader moves: policy gradients from given starts, in the page.
(function () {
  "use strict";
  const book = window.mamlbook, kit = book.kit;
  if (book.navigation) return;

  const WIDE = 1, HIGH = 0.6; // the plot: x in [-1, 1], y in [-0.6, 0.6]
  const HALF = 0.5; // the goals: a square
  const LONGEST = 0.1; // of a step along each axis
  const NAMES = { maml: "meta-learned", joint: "jointly trained" };

  // ---- random numbers that Python draws as well ---------------------------------------------------------------

  // Mulberry32: numbers in [0, 1) from a seed of 32 bits.
  function uniforms(seed) {
    let state = seed >>> 0;
    return function () {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = Math.imul(state ^ (state >>> 15), state | 1);
      t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  // Normal numbers, two at a time.
  function normals(seed, count) {
    const next = uniforms(seed), drawn = new Float64Array(count);
    for (let i = 0; i < count; i += 2) {
      const radius = Math.sqrt(-2 * Math.log(1 - next())), turn = 2 * Math.PI * next();
      drawn[i] = radius * Math.cos(turn);
      drawn[i + 1] = radius * Math.sin(turn);
    }
    return drawn;
  }

  // ---- the policy: 2 -> H -> H -> 2 with tanh, whose output is the mean of the action ---------------------------

  const copy = (parameters) => parameters.map((array) => Float64Array.from(array));

  // The mean at a place; the activations stay in `hidden` for the backward pass.
  function forward([w1, b1, w2, b2, w3, b3], x, y, hidden) {
    const { first, second, mean } = hidden, width = first.length;
    for (let j = 0; j < width; j++) first[j] = Math.tanh(w1[2 * j] * x + w1[2 * j + 1] * y + b1[j]);
    mean[0] = b3[0];
    mean[1] = b3[1];
    for (let i = 0; i < width; i++) {
      let sum = b2[i];
      for (let j = 0; j < width; j++) sum += w2[i * width + j] * first[j];
      second[i] = Math.tanh(sum);
      mean[0] += w3[i] * second[i];
      mean[1] += w3[width + i] * second[i];
    }
    return mean;
  }

  // Adds the gradient of one place, given the derivatives of the loss by the two means.
  function backward([, , w2, , w3], [g1, c1, g2, c2, g3, c3], x, y, slope, { first, second }) {
    const width = first.length, below = new Float64Array(width);
    c3[0] += slope[0];
    c3[1] += slope[1];
    for (let i = 0; i < width; i++) {
      g3[i] += slope[0] * second[i];
      g3[width + i] += slope[1] * second[i];
      const d = (slope[0] * w3[i] + slope[1] * w3[width + i]) * (1 - second[i] * second[i]);
      c2[i] += d;
      for (let j = 0; j < width; j++) {
        g2[i * width + j] += d * first[j];
        below[j] += d * w2[i * width + j];
      }
    }
    for (let j = 0; j < width; j++) {
      const d = below[j] * (1 - first[j] * first[j]);
      g1[2 * j] += d * x;
      g1[2 * j + 1] += d * y;
      c1[j] += d;
    }
  }

  const scratch = (parameters) => ({ first: new Float64Array(parameters[1].length), second: new Float64Array(parameters[3].length), mean: [0, 0] });

  // One trajectory with its own noise, or without any: places before each action, what is learned from, and rewards.
  function walk(parameters, setting, goal, noise, at) {
    const hidden = scratch(parameters), xs = [0], ys = [0], rewards = [], pulls = [];
    for (let t = 0; t < setting.horizon; t++) {
      const [u, v] = forward(parameters, xs[t], ys[t], hidden);
      const du = noise ? setting.std * noise[at + 2 * t] : 0, dv = noise ? setting.std * noise[at + 2 * t + 1] : 0;
      pulls.push([du / setting.std ** 2, dv / setting.std ** 2]); // the gradient of log pi by the mean
      xs.push(xs[t] + kit.clamp(u + du, -LONGEST, LONGEST));
      ys.push(ys[t] + kit.clamp(v + dv, -LONGEST, LONGEST));
      rewards.push(-Math.hypot(xs[t + 1] - goal[0], ys[t + 1] - goal[1]));
    }
    return { xs, ys, rewards, pulls };
  }

  const total = (numbers) => numbers.reduce((sum, one) => sum + one, 0);

  // All trajectories of one step of adaptation.
  function walks(parameters, setting, goal, noise, step) {
    const size = 2 * setting.horizon;
    return Array.from({ length: setting.shots }, (_, k) => walk(parameters, setting, goal, noise, (step * setting.shots + k) * size));
  }

  // The return from each time on, less the mean of the other trajectories' from then on.
  function advantages(drawn, horizon) {
    const ahead = drawn.map(({ rewards }) => {
      const sums = new Float64Array(horizon);
      for (let t = horizon - 1; t >= 0; t--) sums[t] = rewards[t] + (t + 1 < horizon ? sums[t + 1] : 0);
      return sums;
    });
    const together = Float64Array.from({ length: horizon }, (_, t) => total(ahead.map((sums) => sums[t])));
    return ahead.map((sums) => sums.map((own, t) => own - (together[t] - own) / (drawn.length - 1)));
  }

  // One step along the policy gradient, in place.
  function ascend(parameters, drawn, alpha, horizon) {
    const gradient = parameters.map((array) => new Float64Array(array.length)), hidden = scratch(parameters);
    const worth = advantages(drawn, horizon);
    drawn.forEach(({ xs, ys, pulls }, k) => {
      for (let t = 0; t < horizon; t++) {
        forward(parameters, xs[t], ys[t], hidden);
        const weight = worth[k][t] / drawn.length;
        backward(parameters, gradient, xs[t], ys[t], [weight * pulls[t][0], weight * pulls[t][1]], hidden);
      }
    });
    parameters.forEach((array, n) => { for (let i = 0; i < array.length; i++) array[i] += alpha * gradient[n][i]; });
  }

  // After so many steps: the weights, the trajectories that they draw, their mean return, and the path without noise.
  function adapt(start, alpha, setting, goal, noise, steps) {
    const parameters = copy(start);
    for (let step = 0; step < steps; step++) ascend(parameters, walks(parameters, setting, goal, noise, step), alpha, setting.horizon);
    const drawn = walks(parameters, setting, goal, noise, steps);
    return { parameters, drawn, earned: total(drawn.map(({ rewards }) => total(rewards))) / drawn.length, path: walk(parameters, setting, goal, null, 0) };
  }

  // ---- the figure --------------------------------------------------------------------------------------------

  const first = ({ first }) => ({ goal: first.goal.slice(), steps: first.steps, seed: first.seed });

  function compute(state, data) {
    const setting = data.setting;
    state.noise = normals(state.seed, (setting.steps + 1) * setting.shots * setting.horizon * 2);
    for (const name in data.starts) {
      state.adapted[name] = adapt(data.starts[name], data.alpha[name], setting, state.goal, state.noise, state.steps);
    }
  }

  function say(frame, state, names) {
    const when = state.steps === 0 ? "Before any step" : `After ${kit.plural(state.steps, "step", "steps")}`;
    const parts = names.flatMap((name, i) => [
      i === 0 ? "" : " and ", kit.number(frame, kit.fixed(state.adapted[name].earned, 2), name), ` from the ${NAMES[name]} start`,
    ]);
    const ends = names.map((name) => {
      const { xs, ys } = state.adapted[name].path;
      return `${kit.fixed(Math.hypot(xs.at(-1) - state.goal[0], ys.at(-1) - state.goal[1]), 2)} (${NAMES[name]})`;
    });
    frame.say(kit.paragraph(`${when} the mean return is `, ...parts, "."), kit.aside(`Distance to the goal at the end of the mean path: ${ends.join(", ")}.`));
  }

  function build(frame, data) {
    const names = Object.keys(data.starts), setting = data.setting;
    const state = { ...first(data), adapted: {}, visible: {} };
    const view = kit.plot(frame, {
      margin: { left: 44 }, // −0.5 stands on it
      x: { domain: [-WIDE, WIDE], ticks: [-0.5, 0, 0.5], label: "first coordinate" },
      y: { domain: [-HIGH, HIGH], ticks: [-0.5, 0, 0.5], label: "second coordinate" },
      height: (width) => Math.round((width - 58) * (HIGH / WIDE) + 62), // one scale on both axes
      label: "Plane with a movable goal",
    });
    view.picture.classList.add("mb-tappable");
    const faint = {}, paths = {};
    for (const name of names) faint[name] = Array.from({ length: setting.shots }, () => kit.curve(view, name, { faint: true }));
    for (const name of names.slice().reverse()) paths[name] = kit.curve(view, name, { marked: 4 }); // the first on top

    const put = (x, y) => { state.goal = [kit.clamp(x, -HALF, HALF), kit.clamp(y, -HALF, HALF)]; redraw(); };
    const goal = kit.handle(view, {
      role: "support",
      x: { min: -HALF, max: HALF, step: 0.05 },
      y: { min: -HALF, max: HALF, step: 0.05 },
      label: () => "Goal",
      at: () => ({ x: state.goal[0], y: state.goal[1] }),
      value: () => ({ now: Number(state.goal[1].toFixed(2)), text: `${kit.fixed(state.goal[0], 2)} across, ${kit.fixed(state.goal[1], 2)} up` }),
      move: put,
    });
    const steps = kit.slider({
      label: "Policy-gradient steps", name: "steps", min: 0, max: setting.steps, value: state.steps,
      change: (value) => { state.steps = value; redraw(); },
    });

    function redraw() {
      compute(state, data);
      for (const name of names) {
        const { drawn, path } = state.adapted[name];
        drawn.forEach((one, k) => faint[name][k].draw(one.xs, one.ys));
        paths[name].draw(path.xs, path.ys);
      }
      goal.place(...state.goal);
      say(frame, state, names);
    }

    function visibility() {
      for (const name of names) {
        paths[name].show(state.visible[name]);
        for (const one of faint[name]) one.show(state.visible[name] && state.visible.drawn);
      }
    }
    for (const name of [...names, "drawn"]) state.visible[name] = true;
    const entry = (name, label) => ({ role: name, label, toggle: (shown) => { state.visible[name] = shown; visibility(); } });
    const thin = kit.svg("svg", { class: "mb-key", width: 30, height: 12, "aria-hidden": "true" },
      kit.svg("path", { d: "M1 6H29", stroke: "var(--mb-muted)", "stroke-width": 1.25 }));
    const legend = kit.legend(frame, [
      ...names.map((name) => entry(name, `${NAMES[name][0].toUpperCase()}${NAMES[name].slice(1)}, mean path`)),
      { ...entry("drawn", "Drawn trajectories"), icon: thin },
      { role: "support", label: "Goal", dot: true },
    ]);
    const noise = kit.button("New noise", () => { state.seed = (state.seed + 1) >>> 0; redraw(); }, "noise");
    const reset = kit.button("Reset", () => { Object.assign(state, first(data)); steps.put(state.steps); redraw(); }, "reset");

    frame.live.append(
      legend, view.holder,
      kit.html("p", { class: "mb-hint" }, "Drag the goal, click where it shall be, or move it with the arrow keys."),
      kit.controls(steps.node),
      kit.buttons(noise, reset),
      frame.says,
    );
    frame.onWidth(redraw);
    view.onTap = put;
    visibility();
    frame.figure.mamlbook.state = state;
    frame.figure.mamlbook.redraw = redraw;
  }

  book.navigation = Object.freeze({ adapt, normals });
  kit.define("navigation", build);
})();
