// Two quadratic tasks and a pull back to the start: the solutions of iMAML's inner problem, the weight that each task
// has in the meta-gradient, and the implicit gradient beside the derivative through the steps.
(function () {
  "use strict";
  const book = window.mamlbook, kit = book.kit;
  if (book.pull) return;

  const TASKS = ["task1", "task2"];
  const MOST = 100; // steps
  const ENDS = [-2, 2]; // of log10 lam
  const INK = "first"; // iMAML's own colour is that of task 2

  // ---- the formulas ------------------------------------------------------------------------------------------

  // Rounding makes 1 - 0.2 * (4 + 1) and its like only nearly zero.
  const snap = (value) => (Math.abs(value) < 1e-12 ? 0 : value);
  const both = (make) => [make(0), make(1)];
  const mean = (values) => (values[0] + values[1]) / 2;

  // The share of task 1, or null where the weights sum to nothing or less.
  const shareOf = ([one, two]) => (one + two > 0 ? one / (one + two) : null);

  // What an exact solution keeps of the distance to the optimum, and the weight in the meta-gradient that follows.
  const keeps = (h, lam) => lam / (h + lam);
  const weightOf = (h, lam) => h * keeps(h, lam) ** 2;

  // One step of size alpha on h/2 (phi - c)^2 + lam/2 (phi - theta)^2 multiplies the distance to phi* by this factor.
  const factorOf = (h, lam, alpha) => snap(1 - alpha * (h + lam));
  // After s of them phi_s - c is this part of theta - c; it is also the derivative of phi_s with respect to theta.
  const partOf = (h, lam, left) => snap((lam + h * left) / (h + lam));

  // MAML without a pull goes as far on a shallow bowl with S = 1 / (alpha lam) steps; fewer than one is no MAML.
  function matched(h, lam, alpha) {
    const steps = snap(1 / (alpha * lam) - 1) + 1;
    return { steps, share: steps < 1 ? null : shareOf(h.map((h_b) => h_b * snap(1 - alpha * h_b) ** (2 * steps))) };
  }

  // Where descent along weights * (theta - c) ends, or null where it runs away.
  function endOf(weights, c) {
    const share = shareOf(weights);
    return share === null ? null : share * c[0] + (1 - share) * c[1];
  }

  // Everything about a state {h, c, theta, lam, alpha, steps}.
  function compute({ h, c, theta, lam, alpha, steps }) {
    const away = both((b) => theta - c[b]);
    const kept = both((b) => keeps(h[b], lam)), weights = both((b) => weightOf(h[b], lam));
    const factors = both((b) => factorOf(h[b], lam, alpha));
    const lefts = factors.map((factor) => factor ** steps);
    const parts = both((b) => partOf(h[b], lam, lefts[b]));
    const implicitWeights = both((b) => kept[b] * h[b] * parts[b]), exactWeights = both((b) => h[b] * parts[b] ** 2);
    const implicit = both((b) => implicitWeights[b] * away[b]), exact = both((b) => exactWeights[b] * away[b]);
    return {
      kept, weights, factors, lefts, implicit, exact, share: shareOf(weights), start: endOf(weights, c),
      settles: factors.map((factor) => Math.abs(factor) < 1 - 1e-12),
      pulled: both((b) => c[b] + kept[b] * away[b]),
      phi: both((b) => c[b] + parts[b] * away[b]),
      paths: both((b) => Array.from({ length: steps + 1 }, (_, s) => c[b] + partOf(h[b], lam, factors[b] ** s) * away[b])),
      solved: both((b) => weights[b] * away[b]),
      ratios: both((b) => (parts[b] === 0 ? null : kept[b] / parts[b])),
      implicitMean: mean(implicit), exactMean: mean(exact),
      ends: { implicit: endOf(implicitWeights, c), exact: endOf(exactWeights, c) },
      maml: matched(h, lam, alpha),
    };
  }

  // ---- what the figure says ----------------------------------------------------------------------------------

  const two = (value) => kit.fixed(value, 2);
  // Two digits, without the zeros at the end.
  const brief = (value) => (value < 99.5 ? String(Number(value.toPrecision(2))) : kit.short(value));

  // Three digits, so that a difference of a hundredth is seen.
  function slope(value) {
    if (Math.abs(value) < 1e-6) return "0";
    return Math.abs(value) < 99.5 ? kit.minus(value.toPrecision(3)) : kit.short(value);
  }

  function percent(part) {
    if (part !== 0 && Math.abs(part) < 0.005) return "below 1%";
    if (part < 1 && part > 0.995) return "over 99%";
    return Math.abs(part) < 9.995 ? kit.minus(`${Math.round(100 * part)}%`) : `${kit.short(100 * part)}%`;
  }

  const pair = ([one, other], what) => (one === other ? `${one} ${what} in both tasks` : `${one} ${what} in task 1 and ${other} in task 2`);
  const after = (steps) => (steps === 0 ? "Before any step" : `After ${kit.plural(steps, "step", "steps")}`);

  // How far the formula may be believed at this phi.
  function trust(state, now) {
    const lost = [0, 1].filter((b) => !now.settles[b]);
    if (lost.length > 0) {
      const where = lost.length === 2 ? "both tasks" : `task ${lost[0] + 1}`;
      const most = state.alpha * (Math.max(...lost.map((b) => state.h[b])) + state.lam);
      return `The steps in ${where} never settle: α(h + λ) = ${two(most)} is not below 2. Then φ never comes to φ*, and the formula has nothing to stand on.`;
    }
    const off = now.ratios.map((ratio) => (ratio === null ? 0 : Math.abs(1 - ratio)));
    if (Math.max(...off) < 0.005) return "φ is as good as stationary, and the two agree within 1% in each task.";
    const known = now.ratios.map((ratio) => (ratio === null ? "all" : percent(ratio)));
    const way = pair(now.lefts.map((left) => percent(Math.abs(left))), "of the way to φ* is left");
    const sign = now.implicitMean * now.exactMean < 0 ? " Here even the sign of the mean is wrong." : "";
    return `The formula takes φ for stationary. It is not yet: ${way}, and the formula finds ${pair(known, "of the slope")}.${sign}`;
  }

  function consequence({ ends }) {
    const where = (end) => (end === null ? "runs away" : `ends at ${two(end)}`);
    return `An outer loop that follows the formula ${where(ends.implicit)}; one that follows the slope through the steps ${where(ends.exact)}.`;
  }

  function beside({ maml }) {
    if (maml.steps < 1) return "MAML with steps of this size would need less than one step to go as far (αS = 1/λ).";
    // The weight of a task is never all or nothing, only too near to it for a float.
    const share = maml.share === null ? "neither task any weight" : `task 1 ${percent(kit.clamp(maml.share, 1e-6, 1 - 1e-6))} of the weight`;
    return `MAML goes about as far without a pull when αS = 1/λ: that is S = ${brief(maml.steps)}, and it gives ${share}.`;
  }

  function say(frame, state, now) {
    const number = (text) => kit.number(frame, text);
    const first = { 0: " (that of joint training)", 1: " (that of MAML: the first step does not feel the pull)" }[state.steps] || "";
    frame.say(
      kit.paragraph(
        `With the pull λ = ${brief(state.lam)} the solutions φ* keep ${pair(now.kept.map(percent), "of the distance to the optimum")}. Task 1 has `,
        number(percent(now.share)), " of the weight, and meta-training ends at θ* = ", number(two(now.start)), ".",
      ),
      kit.paragraph(
        `${after(state.steps)} the mean meta-gradient at θ = ${two(state.theta)} is `, number(slope(now.implicitMean)),
        " by the implicit formula and ", number(slope(now.exactMean)), ` through the steps${first}.`,
      ),
      kit.aside(trust(state, now)), kit.aside(consequence(now)), kit.aside(beside(now)),
    );
  }

  // ---- what the figure draws: the bowls ----------------------------------------------------------------------

  const range = (low, high, number) => Float64Array.from({ length: number + 1 }, (_, i) => low + ((high - low) * i) / number);
  const limit = (pixel) => kit.clamp(pixel, -5000, 5000);
  const visible = (node, shown) => { node.style.display = shown ? "" : "none"; };
  const thin = (made) => { made.group.firstChild.style.strokeWidth = 1.5; return made; };

  // A task: its bowl, an open mark at phi*, and the way of the steps from theta with a filled mark at phi.
  function bowl(view, b) {
    const role = TASKS[b], sub = "₁₂"[b], shape = view.made.looks[role].marker;
    const curve = kit.curve(view, role);
    const ring = kit.svg("path", { d: kit.outline(shape, 8), stroke: kit.colour(role), class: "mb-trail-start" });
    const line = kit.svg("polyline", { class: "mb-curve", stroke: kit.colour(role), style: "stroke-width:1.5" });
    const dots = kit.svg("g", {});
    const end = kit.svg("path", { d: kit.outline(shape, 4.8), fill: kit.colour(role), class: "mb-marker" });
    const names = both(() => kit.svg("text", { class: "mb-halo mb-axis-label" }));
    const group = kit.svg("g", {}, kit.svg("g", { "clip-path": `url(#${view.clip})` }, ring, line, dots, end), ...names);
    view.marks.append(group);
    // Names stand downhill of their marks, inside the bowl.
    function name(node, text, [x, y], side, shown) {
      node.textContent = text;
      kit.set(node, { x: x + 10 * side, y: y - 9, "text-anchor": side > 0 ? "start" : "end" });
      visible(node, shown && view.inside(x, y));
    }
    return {
      draw(xs, height, path, pulled, c) {
        curve.draw(xs, xs.map(height));
        const side = pulled === c ? 2 * b - 1 : Math.sign(c - pulled);
        const place = (phi) => [limit(view.x(phi)), limit(view.y(height(phi)))];
        const places = path.map(place), last = places[places.length - 1], goal = place(pulled);
        kit.set(line, { points: places.map((at) => at.map((v) => v.toFixed(1)).join(",")).join(" ") });
        dots.replaceChildren(...places.slice(0, -1).map(([cx, cy]) => kit.svg("circle", { cx, cy, r: 2.4, fill: kit.colour(role) })));
        kit.set(end, { transform: `translate(${last.join(" ")})` });
        kit.set(ring, { transform: `translate(${goal.join(" ")})` });
        name(names[0], `φ${sub}*`, goal, side, true);
        name(names[1], `φ${sub}`, last, side, Math.hypot(last[0] - goal[0], last[1] - goal[1]) > 34);
      },
      show(shown) { curve.show(shown); visible(group, shown); },
    };
  }

  // The fixed point theta*, a line with iMAML's marker at its upper end, and the name of theta on the other side.
  function startMark(view) {
    const line = kit.svg("line", { class: "mb-rule", stroke: kit.colour(INK) });
    const head = kit.svg("path", { d: kit.outline(view.made.looks.imaml.marker, 5.5), fill: kit.colour(INK), class: "mb-marker" });
    const names = both((i) => kit.svg("text", { class: "mb-halo mb-axis-label" }, i === 0 ? "θ*" : "θ"));
    const group = kit.svg("g", {}, line, head, names[0]);
    view.marks.append(group, names[1]);
    return {
      draw(start, theta) {
        const [low, high] = view.options.y.domain, x = view.x(start), y = view.y(high), side = start <= theta ? -1 : 1;
        kit.set(line, { x1: x, x2: x, y1: view.y(low), y2: y });
        kit.set(head, { transform: `translate(${x} ${y + 5})` });
        [x, view.x(theta)].forEach((at, i) => {
          const way = i === 0 ? side : -side;
          kit.set(names[i], { x: at + 9 * way, y: y + 10, "text-anchor": way > 0 ? "start" : "end" });
        });
      },
      show(shown) { visible(group, shown); },
    };
  }

  // ---- what the figure draws: the weights --------------------------------------------------------------------

  // The shares of the two tasks as areas, task 1 below the line and task 2 above it, with what they tend to.
  function shares(view) {
    const areas = TASKS.map((role) => kit.svg("path", { fill: kit.colour(role), "fill-opacity": 0.16 }));
    view.curves.append(...areas);
    const line = kit.curve(view, INK);
    const dot = kit.svg("path", { d: kit.outline(view.made.looks.imaml.marker, 6), fill: kit.colour(INK), class: "mb-marker" });
    const write = (anchor) => kit.svg("text", { class: "mb-halo mb-axis-label", "text-anchor": anchor });
    const names = TASKS.map((_, b) => kit.svg("text", { class: "mb-axis-label" }, `task ${b + 1}`));
    const value = write("end"), limits = [write("start"), write("end")];
    const group = kit.svg("g", {}, dot, value, ...limits);
    view.marks.append(...names, group);
    return {
      draw(xs, h, log, share) {
        const ys = xs.map((x) => shareOf(h.map((h_b) => weightOf(h_b, 10 ** x))));
        line.draw(xs, ys);
        const edge = Array.from(xs, (x, i) => `L${view.x(x).toFixed(1)} ${view.y(ys[i]).toFixed(1)}`).join("");
        const [left, right] = ENDS.map((x) => view.x(x));
        areas.forEach((area, b) => kit.set(area, { d: `M${left} ${view.y(b)}${edge}L${right} ${view.y(b)}Z` }));
        // The words of iMAML stand on the side of the line where MAML's line is not.
        const falls = h[0] <= h[1], off = falls ? 19 : -9, x = view.x(log), y = view.y(share);
        names.forEach((text, b) => {
          const first = falls === (b === 0);
          kit.set(text, { x: first ? left + 8 : right - 8, y: view.y(b) + (b === 0 ? -10 : 20), "text-anchor": first ? "start" : "end" });
        });
        kit.set(dot, { transform: `translate(${x} ${y})` });
        value.textContent = percent(share);
        const flip = x < left + 45;
        kit.set(value, { x: x + (flip ? 9 : -9), y: y + off, "text-anchor": flip ? "start" : "end" });
        // At the ends the weights go as 1/h and as h.
        limits.forEach((text, i) => {
          const at = i === 0 ? h[1] / (h[0] + h[1]) : h[0] / (h[0] + h[1]);
          text.textContent = i === 0 ? "weights as 1/h" : "as h";
          kit.set(text, { x: i === 0 ? left + 8 : right - 8, y: view.y(at) + off });
          visible(text, Math.abs(y - view.y(at)) > 16 || (i === 0 ? x > left + 150 : x < right - 60));
        });
      },
      show(shown) { line.show(shown); visible(group, shown); },
    };
  }

  // MAML with steps of the same size, at the pull that goes as far: a thin line with a mark at some whole S.
  function reference(view) {
    const line = thin(kit.curve(view, "maml"));
    const stops = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000];
    const marks = stops.map(() => kit.svg("path", { d: kit.outline(view.made.looks.maml.marker, 3.2), fill: kit.colour("maml"), class: "mb-marker" }));
    const names = stops.map((S) => kit.svg("text", { class: "mb-halo" }, S === 1 ? "S = 1" : String(S)));
    const group = kit.svg("g", {}, ...marks, ...names);
    view.marks.append(group);
    return {
      draw(xs, h, alpha) {
        const there = [...xs.filter((x) => 10 ** x * alpha < 1), -Math.log10(alpha)];
        line.draw(there, there.map((x) => matched(h, 10 ** x, alpha).share));
        stops.forEach((S, i) => {
          const lam = 1 / (alpha * S), { share } = matched(h, lam, alpha);
          const shown = share !== null && lam >= 10 ** ENDS[0] && lam <= 10 ** ENDS[1];
          const x = shown ? view.x(Math.log10(lam)) : 0, y = shown ? view.y(share) : 0;
          kit.set(marks[i], { transform: `translate(${x} ${y})` });
          // The first name stands outside the bend of the line, the others inside it, or below where it is flat.
          const above = (S === 1) === (h[0] <= h[1]), flat = Math.abs(share - 0.5) > 0.47, half = 4 * names[i].textContent.length;
          const anchor = S === 1 ? "start" : flat ? "middle" : "end";
          const at = S === 1 ? Math.min(x - 6, view.width - 46) : flat ? Math.max(x, view.x(ENDS[0]) + half) : x - 6;
          kit.set(names[i], { x: at, y: y + (above ? -8 : 17), "text-anchor": anchor });
          visible(marks[i], shown);
          visible(names[i], shown && [1, 10, 100, 1000].includes(S));
        });
      },
      show(shown) { line.show(shown); visible(group, shown); },
    };
  }

  // Pulls that these steps are too long for are hatched.
  function tooStrong(view) {
    const id = `${view.made.name}-hatch`;
    const pattern = kit.svg("pattern", { id, width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
      kit.svg("line", { x1: 0, x2: 0, y1: 0, y2: 7, stroke: kit.colour("muted"), "stroke-width": 2.5 }));
    const area = kit.svg("rect", { fill: `url(#${id})`, "fill-opacity": 0.55 });
    view.curves.append(pattern, area);
    return (h, alpha) => {
      const from = Math.log10(Math.max(2 / alpha - Math.max(...h), 10 ** ENDS[0]));
      const x = view.x(kit.clamp(from, ...ENDS)), top = view.y(1);
      kit.set(area, { x, width: view.x(ENDS[1]) - x, y: top, height: view.y(0) - top });
    };
  }

  // The numbers below a logarithmic axis.
  function logTicks(view) {
    const texts = [0.01, 0.1, 1, 10, 100].map((lam) => kit.svg("text", { "text-anchor": "middle" }, String(lam)));
    view.marks.append(...texts);
    return () => texts.forEach((text, i) => kit.set(text, { x: view.x(i - 2) - (i === 4 ? 6 : 0), y: view.y(0) + 17 }));
  }

  // ---- the figure --------------------------------------------------------------------------------------------

  // include beside

  function plots(frame, data) {
    const part = halves(frame);
    const height = (width) => Math.round(kit.clamp(width * 0.86, 280, 330));
    const bowls = kit.plot(part, {
      margin: { left: 32, right: 8 }, spill: 11, // a mark may stand at zero
      x: { domain: data.range, ticks: [0, 0.5, 1], label: "parameter φ" }, y: { domain: [0, 0.8], ticks: [0, 0.2, 0.4, 0.6, 0.8], label: "loss of each task" },
      height, label: "Loss of each task over its parameter, with a movable start",
    });
    const weights = kit.plot(part, {
      margin: { left: 36, right: 8 },
      x: { domain: ENDS, ticks: [-2, -1, 0, 1, 2], labels: false, label: "pull λ: all adapt … nobody adapts" }, y: { domain: [0, 1], ticks: [0, 0.25, 0.5, 0.75, 1], label: "share of the meta-gradient" },
      height, label: "Share of each task in the meta-gradient over the pull",
    });
    for (const view of [bowls, weights]) {
      view.picture.classList.add("mb-tappable");
    }
    return { bowls, weights, holder: sideBySide(bowls, weights) };
  }

  const icon = (...nodes) => kit.svg("svg", { class: "mb-key", width: 30, height: 12, viewBox: "-15 -6 30 12", "aria-hidden": "true" }, ...nodes);
  const stroke = (role, width, dash) => kit.svg("path", { d: "M-14 0H14", stroke: kit.colour(role), "stroke-width": width, "stroke-dasharray": dash || null });

  // What the curves are called, and which of them can be hidden.
  function entries(frame, parts) {
    const { tasks, sums, pull, start, share, maml } = parts;
    const triangle = (x) => kit.svg("path", { d: kit.outline(frame.looks.imaml.marker, 4.5), fill: kit.colour(INK), class: "mb-marker", transform: `translate(${x} 0)` });
    const hatch = [-9, -3, 3, 9].map((x) => kit.svg("path", { d: `M${x - 4} 6L${x + 4} -6`, stroke: kit.colour("muted"), "stroke-width": 2.5 }));
    const toggle = (part) => (shown) => part.show(shown);
    return [
      ...TASKS.map((role, b) => ({ role, label: `Task ${b + 1}`, toggle: toggle(tasks[b]) })),
      { label: "Pull λ/2 (φ − θ)²", icon: icon(stroke("theta", 1.5, "3 3")), toggle: toggle(pull) },
      ...TASKS.map((role, b) => ({ label: `Task ${b + 1} + pull`, icon: icon(stroke(role, 1.5)), shown: b === 0, toggle: toggle(sums[b]) })),
      { label: "Fixed point θ*", icon: icon(triangle(0)), toggle: toggle(start) },
      { label: "iMAML", icon: icon(stroke(INK, 2.5), triangle(0)), toggle: toggle(share) },
      { label: "MAML, αS = 1/λ", icon: icon(stroke("maml", 1.5), kit.svg("circle", { r: 3.2, fill: kit.colour("maml") })), toggle: toggle(maml) },
      { label: "Steps never settle", icon: icon(...hatch) },
    ];
  }

  const PRESETS = [
    { label: "All adapt", name: "all", state: { lam: 0.01, alpha: 0.25, steps: 100 } },
    { label: "Nobody adapts", name: "nobody", state: { lam: 100, alpha: 0.01, steps: 100 } },
    { label: "Stopped early", name: "early", state: { lam: 0.1, alpha: 0.05, steps: 3 } },
    { label: "Pull too strong", name: "strong", state: { lam: 10 ** 1.7, alpha: 0.05, steps: 6 } },
  ];

  // All that is drawn, in order from the back to the front.
  function drawing(frame, data) {
    const made = plots(frame, data), { bowls, weights } = made;
    const pull = thin(kit.curve(bowls, "theta")), sums = TASKS.map((role) => thin(kit.curve(bowls, role)));
    sums.forEach(({ group }) => kit.set(group.firstChild, { "stroke-dasharray": null }));
    sums[1].show(false);
    const parts = { pull, sums, tasks: both((b) => bowl(bowls, b)), start: startMark(bowls), share: shares(weights), maml: reference(weights) };
    const hatch = tooStrong(weights), ticks = logTicks(weights);
    const xs = range(...data.range, 240), logs = range(...ENDS, 160);
    function draw(state, now) {
      const { h, c, theta, lam, alpha } = state;
      const held = (phi) => (lam / 2) * (phi - theta) ** 2;
      pull.draw(xs, xs.map(held));
      TASKS.forEach((_, b) => {
        const height = (phi) => (h[b] / 2) * (phi - c[b]) ** 2;
        sums[b].draw(xs, xs.map((phi) => height(phi) + held(phi)));
        parts.tasks[b].draw(xs, height, now.paths[b], now.pulled[b], c[b]);
      });
      parts.start.draw(now.start, theta);
      parts.share.draw(logs, h, Math.log10(lam), now.share);
      parts.maml.draw(logs, h, alpha);
      hatch(h, alpha);
      ticks();
    }
    return { ...made, parts, draw };
  }

  function build(frame, data) {
    const copy = (state) => ({ ...state, h: state.h.slice(), c: state.c.slice() });
    const state = copy(data.first), [low, high] = data.range;
    const { bowls, weights, holder, parts, draw } = drawing(frame, data);
    const put = (change) => (value) => { change(value); redraw(); };
    const control = (name, label, min, max, step, value, format, change) => kit.slider({ name, label, min, max, step, value, format, change: put(change) });
    const sliders = {
      lam: control("lam", "Pull λ", ...ENDS, 0.01, Math.log10(state.lam), (v) => brief(10 ** v), (v) => { state.lam = 10 ** v; }),
      steps: control("steps", "Inner steps S", 0, MOST, 1, state.steps, String, (v) => { state.steps = v; }),
      h2: control("h2", "Curvature of task 2", 0.25, 4, 0.25, state.h[1], two, (v) => { state.h[1] = v; }),
      alpha: control("alpha", "Step size α", 0.01, 0.25, 0.01, state.alpha, two, (v) => { state.alpha = v; }),
    };
    const start = kit.handle(bowls, {
      role: "theta", rule: true, x: { min: low, max: high, step: 0.01 }, y: null,
      label: () => "Start theta", at: () => ({ x: state.theta, y: null }),
      value: () => ({ now: Number(state.theta.toFixed(4)), text: `theta ${two(state.theta)}` }),
      move: (theta) => go(theta),
    });
    // The slider below is this rule's access by keyboard.
    const cut = kit.handle(weights, {
      role: "theta", rule: true, x: { min: ENDS[0], max: ENDS[1], step: 0.01 }, y: null,
      mirror: { node: sliders.lam.node.querySelector("input") }, move: (log) => pullTo(log),
    });

    function redraw() {
      const now = compute(state);
      draw(state, now);
      start.place(state.theta, null);
      cut.place(Math.log10(state.lam), null);
      say(frame, state, now);
      frame.figure.mamlbook.values = now;
    }

    function apply(next) {
      Object.assign(state, copy({ ...state, ...next }));
      for (const [name, value] of Object.entries({ ...state, lam: Math.log10(state.lam), h2: state.h[1] })) if (sliders[name]) sliders[name].put(value);
      redraw();
    }
    const go = (theta) => apply({ theta: kit.clamp(theta, low, high) });
    const pullTo = (log) => apply({ lam: 10 ** kit.clamp(Math.round(100 * log) / 100, ...ENDS) });

    bowls.onTap = go;
    weights.onTap = pullTo;
    frame.live.append(
      kit.legend(frame, entries(frame, parts)), holder,
      kit.html("p", { class: "mb-hint" }, "Drag θ and the rule at λ, or move them with the arrow keys. Open marks are the solutions φ*, filled ones φ after S steps."),
      kit.controls(...Object.values(sliders).map((slider) => slider.node)),
      kit.buttons(...PRESETS.map((preset) => kit.button(preset.label, () => apply(preset.state), preset.name)),
        kit.button("θ to θ*", () => go(compute(state).start), "start"), kit.button("Reset", () => apply(data.first), "reset")),
      frame.says,
    );
    frame.onWidth(redraw);
    frame.figure.mamlbook.state = state;
    frame.figure.mamlbook.redraw = redraw;
  }

  book.pull = Object.freeze({ compute });
  kit.define("pull", build);
})();
