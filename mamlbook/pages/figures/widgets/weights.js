// Two quadratic tasks, five methods: each puts its start at a weighted mean of the two optima, with its own weights.
(function () {
  "use strict";
  const book = window.mamlbook, kit = book.kit;
  if (book.weights) return;

  const NAMES = { joint: "joint", reptile: "Reptile", fomaml: "FOMAML", maml: "MAML", imaml: "iMAML" };
  const METHODS = Object.keys(NAMES);
  const MOST = 10; // steps

  // ---- the formulas ------------------------------------------------------------------------------------------

  // Rounding makes 1 - 0.4 * 2.5 and its like only nearly zero.
  const snap = (value) => (Math.abs(value) < 1e-12 ? 0 : value);

  // The weight of a task with curvature h whose distance to its optimum the inner loop multiplies by `left`.
  const weight = {
    joint: (h) => h,
    reptile: (h, left) => snap(1 - left),
    fomaml: (h, left) => h * left,
    maml: (h, left) => h * left ** 2,
    imaml: (h, left, lam) => h * (lam / (h + lam)) ** 2, // an exact proximal solution; knows no steps
  };

  const meanLoss = (h, c, lefts, theta) => h.reduce((sum, h_i, i) => sum + (h_i / 2) * (lefts[i] * (theta - c[i])) ** 2, 0) / h.length;

  // The mean gradient of a method is (total * theta - pull) / 2. With a positive total, descent ends where it is zero;
  // with a negative one it runs away from there at every rate; with none it drifts on, or has nothing to do.
  function outcome(weights, c) {
    const sum = weights[0] + weights[1], size = Math.abs(weights[0]) + Math.abs(weights[1]);
    const total = Math.abs(sum) <= 1e-12 * size ? 0 : sum;
    const pull = weights[0] * c[0] + weights[1] * c[1];
    const point = total === 0 ? null : pull / total;
    const still = size === 0 || c[0] === c[1];
    const status = total > 0 ? "start" : total < 0 ? "away" : still ? "still" : "drifts";
    return { weights, total, point, status, start: total > 0 ? point : null, share: total > 0 ? weights[0] / total : null };
  }

  // Everything about a state {h, c, alpha, steps, lam}.
  function compute({ h, c, alpha, steps, lam }) {
    const factors = h.map((h_i) => snap(1 - alpha * h_i));
    const lefts = factors.map((factor) => factor ** steps);
    const methods = {};
    for (const name of METHODS) {
      const found = outcome(h.map((h_i, i) => weight[name](h_i, lefts[i], lam)), c);
      methods[name] = { ...found, loss: found.start === null ? null : meanLoss(h, c, lefts, found.start) };
    }
    return { factors, lefts, diverges: factors.map((factor) => factor < -1 - 1e-12), methods };
  }

  // ---- what the figure says ----------------------------------------------------------------------------------

  const two = (value) => (Math.abs(value) < 99.5 ? kit.fixed(value, 2) : kit.short(value));

  function percent(part) {
    if (part > 1) return `${kit.short(100 * part)}%`;
    if (part > 0 && part < 0.005) return "below 1%";
    if (part < 1 && part > 0.995) return "over 99%";
    return `${Math.round(100 * part)}%`;
  }

  function served(state, now) {
    const { share, start } = now.methods.maml, { h, steps } = state;
    if (start === null) return "One step solves both tasks from anywhere, so to MAML every start is as good.";
    const task = share >= 0.5 ? 0 : 1, part = Math.max(share, 1 - share);
    const kind = h[0] === h[1] ? "" : h[task] < h[1 - task] ? ", the flatter one" : ", the steeper one";
    const whom = part < 0.505 ? "serves both tasks alike" : `serves task ${task + 1}${kind}, which has ${percent(part)} of the weight`;
    const when = steps === 0 ? "Before any step" : `After ${kit.plural(steps, "step", "steps")}`;
    const [one, other] = now.lefts.map((left) => percent(Math.abs(left)));
    return `MAML’s start ${two(start)} ${whom}. ${when}, ${one} of the distance to its optimum is left in task 1, ${other} in task 2.`;
  }

  function losses(frame, state, now) {
    const when = state.steps === 0 ? "before any step" : `after ${kit.plural(state.steps, "step", "steps")}`;
    const parts = [`The mean loss ${when}, from each start: `], without = [];
    for (const name of METHODS) {
      const { loss } = now.methods[name];
      if (loss === null) without.push(NAMES[name]);
      else parts.push(parts.length > 1 ? ", " : "", `${NAMES[name]} `, kit.number(frame, kit.short(loss), name));
    }
    return [...parts, "."].concat(without.length ? ` No start: ${without.join(", ")}.` : []);
  }

  // What is out of the ordinary at these settings, sentence by sentence.
  function warnings(state, now) {
    const said = [];
    now.diverges.forEach((diverges, i) => {
      if (diverges) said.push(`The inner loop of task ${i + 1} diverges: αh = ${two(state.alpha * state.h[i])} is above 2.`);
    });
    const most = Math.abs(now.factors[0]) > Math.abs(now.factors[1]) ? 0 : 1;
    if (now.diverges[most] && state.h[0] !== state.h[1] && state.steps > 0) said.push(`The more steps, the more MAML’s start is dragged to the optimum of task ${most + 1}.`);
    for (const name of METHODS) {
      const { status, weights, total, point } = now.methods[name], who = NAMES[name];
      const against = weights.map((w, i) => (w < 0 ? i + 1 : 0)).filter(Boolean).join(" and ");
      const because = name === "fomaml" ? "overshot by its inner loop" : "farther from its optimum after the inner loop";
      if (status === "away") said.push(`${who}’s weights sum to ${two(total)}, below zero: its outer loop runs away from ${two(point)} and diverges at every outer rate.`);
      if (status === "drifts") said.push(`${who}’s weights cancel: its outer gradient is the same everywhere, and the start drifts on for ever.`);
      if (status === "start" && against && state.c[0] !== state.c[1]) said.push(`${who}’s start is outside the two optima, because task ${against}, ${because}, has a negative weight.`);
      if (status === "still") said.push(name === "reptile" && state.steps * state.alpha === 0 ? "Reptile does not move: its inner loop goes nowhere." : `${who} does not move: its outer gradient is zero everywhere.`);
    }
    return said;
  }

  const brief = { away: "diverges", drifts: "drifts for ever", still: "does not move" };

  function say(frame, state, now) {
    const starts = METHODS.map((name) => { const { start, status } = now.methods[name]; return `${NAMES[name]} ${start === null ? brief[status] : two(start)}`; });
    frame.say(
      kit.paragraph(served(state, now)), kit.paragraph(...losses(frame, state, now)),
      ...warnings(state, now).map((sentence) => kit.aside(sentence)),
      kit.html("p", { class: "mb-hidden" }, `Starts: ${starts.join(", ")}.`),
    );
  }

  // ---- what the figure draws ---------------------------------------------------------------------------------

  const mark = (looks, role, radius) => kit.svg("path", { d: kit.outline(looks[role].marker, radius), fill: kit.colour(role), class: "mb-marker" });
  // A point that the outer loop runs away from is an empty mark.
  const hollow = (node, role, empty) => kit.set(node, { class: empty ? "mb-trail-start" : "mb-marker", stroke: empty ? kit.colour(role) : null, fill: empty ? null : kit.colour(role) });

  // The first text that fits beside a mark at px, on its right if it can be there; letters are about 6.5 pixels wide.
  function beside(view, px, texts, low, high) {
    for (const text of texts) {
      const long = 6.5 * text.length + 14;
      if (px + long <= high) return { text, x: px + 12, "text-anchor": "start" };
      if (px - long >= low) return { text, x: px - 12, "text-anchor": "end" };
    }
    return { text: "", x: px, "text-anchor": "start" };
  }

  // One method on the number line: its name at the left, a mark where its start is, and the number or its fate.
  function row(view, role, height) {
    const [low, high] = view.options.x.domain;
    const line = kit.svg("line", { class: "mb-grid" }), node = mark(view.made.looks, role, 6);
    const name = kit.svg("text", { class: "mb-axis-label", x: 0, dy: "0.35em" }, NAMES[role]);
    const note = kit.svg("text", { class: "mb-halo mb-axis-label", dy: "0.35em", "data-row": role });
    const group = kit.svg("g", {}, node, note);
    view.curves.append(line);
    view.marks.append(name, group);
    return {
      draw({ status, point }) {
        const y = view.y(height), left = view.x(low), right = view.x(high);
        kit.set(line, { x1: left, x2: right, y1: y, y2: y });
        for (const text of [name, note]) kit.set(text, { y });
        const beyond = point !== null && (point < low || point > high);
        const px = point === null ? left : kit.clamp(view.x(point), left + 7, right - 7);
        const texts = status === "start" ? [beyond ? `${two(point)}, off the scale` : two(point)]
          : status === "away" ? ["diverges at every outer rate", "diverges"] : [brief[status]];
        const { text, ...place } = beside(view, px, texts, left, right);
        note.textContent = text;
        kit.set(note, place);
        // An arrow head stands for what is beyond the edge.
        kit.set(node, { d: beyond ? (point < low ? "M-7 0L5 -7V7Z" : "M7 0L-5 -7V7Z") : kit.outline(view.made.looks[role].marker, 6), transform: `translate(${px} ${y})` });
        node.style.display = point === null ? "none" : "";
        hollow(node, role, status === "away");
      },
      show(visible) { for (const part of [group, name]) part.style.display = visible ? "" : "none"; },
    };
  }

  // The starts of one method over the number of steps: a line where they follow one another, a mark at each.
  function course(view, role) {
    const { looks } = view.made;
    const line = kit.svg("path", { class: "mb-curve", stroke: kit.colour(role), "stroke-dasharray": looks[role].dash.join(" ") || null });
    const dots = Array.from({ length: MOST + 1 }, () => mark(looks, role, 4.4));
    const group = kit.svg("g", {}, line, ...dots);
    view.curves.append(group);
    const [low, high] = view.options.y.domain;
    // Far off the scale a pixel is as good as another.
    const y = (value) => view.y(kit.clamp(value, low - 50, high + 50)).toFixed(1);
    return {
      draw(found) {
        let d = "";
        found.forEach(({ start, point, status }, s) => {
          if (start !== null) d += `${s > 0 && found[s - 1].start !== null ? "L" : "M"}${view.x(s).toFixed(1)} ${y(start)}`;
          dots[s].style.display = point === null ? "none" : "";
          if (point !== null) kit.set(dots[s], { transform: `translate(${view.x(s)} ${y(point)})` });
          hollow(dots[s], role, status === "away");
        });
        kit.set(line, { d });
      },
      show(visible) { group.style.display = visible ? "" : "none"; },
    };
  }

  // The names of the two optima above the number line, each on its own side.
  function optimumNames(view) {
    const names = ["task 1", "task 2"].map((text) => kit.svg("text", { class: "mb-halo mb-axis-label", y: 34 }, text));
    view.marks.append(...names);
    return (c) => names.forEach((name, i) => {
      const before = c[i] < c[1 - i] || (c[i] === c[1 - i] && i === 0);
      kit.set(name, { x: view.x(c[i]) + (before ? 12 : -12), "text-anchor": before ? "end" : "start" });
    });
  }

  // The two optima as level lines in the lower plot.
  function levels(view) {
    const lines = [0, 1].map(() => kit.svg("line", { class: "mb-rule", stroke: kit.colour("theta"), "stroke-dasharray": "3 3" }));
    const names = ["task 1", "task 2"].map((text) => kit.svg("text", { class: "mb-halo mb-axis-label", "text-anchor": "end" }, text));
    view.marks.prepend(...lines);
    view.marks.append(...names);
    return (c) => lines.forEach((line, i) => {
      const y = view.y(c[i]), above = c[i] > c[1 - i] || (c[i] === c[1 - i] && i === 0);
      kit.set(line, { x1: view.x(-0.25), x2: view.x(MOST + 0.25), y1: y, y2: y });
      kit.set(names[i], { x: view.x(MOST + 0.25), y: y + (above ? -6 : 15) });
    });
  }

  // ---- the figure --------------------------------------------------------------------------------------------

  const PRESETS = [
    { label: "Equal curvatures", name: "equal", state: { h: [2, 2], c: [-1, 2], alpha: 0.1, steps: 3, lam: 1 } },
    { label: "One step, h = (1, 3)", name: "one-step", state: { h: [1, 3], c: [0, 1], alpha: 0.25, steps: 1, lam: 1 } },
    { label: "FOMAML diverges", name: "fomaml", state: { h: [1, 3], c: [0, 1], alpha: 0.5, steps: 1, lam: 1 } },
    { label: "Inner loop diverges", name: "inner", state: { h: [0.5, 4], c: [-1, 2], alpha: 0.55, steps: 3, lam: 1 } },
  ];

  function plots(frame, data) {
    const across = { domain: data.range, ticks: [-2, -1, 0, 1, 2, 3] };
    const line = kit.plot(frame, {
      margin: { left: 66, top: 42 }, x: { ...across, label: "start θ" }, y: { domain: [0, 5.6], ticks: [], label: "where each method starts" },
      height: () => 236, label: "The starts of the five methods on a line, with two movable optima",
    });
    const course = kit.plot(frame, {
      x: { domain: [-0.25, MOST + 0.25], ticks: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], label: "inner steps S" }, y: { ...across, label: "start θ, by the number of steps" },
      height: (width) => Math.round(kit.clamp(width * 0.4, 230, 300)), label: "The start of each method over the number of inner steps",
    });
    course.picture.classList.add("mb-tappable");
    return { line, course };
  }

  function build(frame, data) {
    const copy = (state) => ({ ...state, h: state.h.slice(), c: state.c.slice() });
    const state = copy(data.first);
    const { line, course: below } = plots(frame, data);
    const rows = METHODS.map((role, i) => row(line, role, METHODS.length - i));
    const courses = METHODS.map((role) => course(below, role));
    const nameOptima = optimumNames(line), drawLevels = levels(below);
    const [least, most] = data.optima;
    const optima = [0, 1].map((i) => kit.handle(line, {
      role: "theta", rule: true, x: { min: least, max: most, step: 0.05 }, y: null,
      label: () => `Optimum of task ${i + 1}`, at: () => ({ x: state.c[i], y: null }),
      value: () => ({ now: Number(state.c[i].toFixed(4)), text: `optimum ${kit.fixed(state.c[i], 2)}` }),
      move: (c) => { state.c[i] = c; redraw(); },
    }));

    function redraw() {
      const now = compute(state);
      const found = Array.from({ length: MOST + 1 }, (_, steps) => compute({ ...state, steps }).methods);
      METHODS.forEach((role, i) => {
        rows[i].draw(now.methods[role]);
        courses[i].draw(found.map((methods) => methods[role]));
      });
      nameOptima(state.c);
      drawLevels(state.c);
      optima.forEach((made, i) => made.place(state.c[i], null));
      cut.place(state.steps, null);
      say(frame, state, now);
      frame.figure.mamlbook.values = now;
    }

    const digits = (value) => kit.fixed(value, 2);
    const control = (name, label, max, step, read, change, min = 0) => kit.slider({
      label, name, min, max, step, value: read(), format: step < 1 ? digits : String,
      change: (value) => { change(value); redraw(); },
    });
    const sliders = {
      alpha: control("alpha", "Step size α", 1, 0.01, () => state.alpha, (v) => { state.alpha = v; }),
      steps: control("steps", "Steps S", MOST, 1, () => state.steps, (v) => { state.steps = v; }),
      h1: control("h1", "Curvature of task 1", 5, 0.25, () => state.h[0], (v) => { state.h[0] = v; }, 0.25),
      h2: control("h2", "Curvature of task 2", 5, 0.25, () => state.h[1], (v) => { state.h[1] = v; }, 0.25),
      lam: control("lam", "Pull λ to the start (iMAML)", 10, 0.1, () => state.lam, (v) => { state.lam = v; }),
    };

    function put(next) {
      Object.assign(state, copy(next));
      const [h1, h2] = state.h;
      for (const [name, value] of Object.entries({ ...state, h1, h2 })) if (sliders[name]) sliders[name].put(value);
      redraw();
    }

    const toStep = (value) => put({ ...state, steps: Math.round(value) });
    // The slider below is this rule's access by keyboard.
    const cut = kit.handle(below, {
      role: "theta", rule: true, x: { min: 0, max: MOST, step: 1 }, y: null,
      mirror: { node: sliders.steps.node.querySelector("input") }, move: toStep,
    });
    below.onTap = toStep;

    frame.live.append(
      kit.legend(frame, METHODS.map((role, i) => ({
        role, label: NAMES[role], toggle: (shown) => [rows[i], courses[i]].forEach((part) => part.show(shown)),
      }))),
      line.holder, below.holder,
      kit.html("p", { class: "mb-hint" }, "Drag the two optima or the rule at S, or move the optima with the arrow keys."),
      kit.controls(...Object.values(sliders).map((slider) => slider.node)),
      kit.buttons(...PRESETS.map((preset) => kit.button(preset.label, () => put(preset.state), preset.name)), kit.button("Reset", () => put(data.first), "reset")),
      frame.says,
    );
    frame.onWidth(redraw);
    frame.figure.mamlbook.state = state;
    frame.figure.mamlbook.redraw = redraw;
  }

  book.weights = Object.freeze({ compute });
  kit.define("weights", build);
})();
