// Four update directions from one start in a plane of two weights, exact for any number of inner steps.
(function () {
  "use strict";
  const book = window.mamlbook, kit = book.kit;
  if (book.arrows) return;

  const METHODS = ["joint", "reptile", "fomaml", "maml"]; // drawn in this order, MAML on top
  const NAMES = { joint: "joint training", reptile: "Reptile", fomaml: "FOMAML", maml: "MAML" };
  const COLUMNS = 70, ROWS = 49; // cells of the picture behind the arrows
  const TRAIL = { rate: 0.2, longest: 0.05, steps: 600, still: 1e-6 };

  // ---- the formulas ------------------------------------------------------------------------------------------

  // Loss, gradient and Hessian [xx, xy, yy] of one task at (x, y). With p and q the coordinates of theta - c along
  // and across the task's valley, and w = q + kappa (sqrt(1 + p^2) - 1), the loss is (flat p^2 + steep w^2) / 2.
  function local({ c, axis: [a, b], flat, steep }, kappa, x, y) {
    const u = x - c[0], v = y - c[1], p = a * u + b * v, q = a * v - b * u;
    const root = Math.sqrt(1 + p * p), w = q + kappa * (root - 1);
    const slope = (kappa * p) / root, bend = kappa / (root * root * root); // first and second derivative of w in p
    const gp = flat * p + steep * w * slope, gq = steep * w;
    const hpp = flat + steep * (slope * slope + w * bend), hpq = steep * slope, hqq = steep;
    return {
      loss: (flat * p * p + steep * w * w) / 2,
      gradient: [a * gp - b * gq, b * gp + a * gq],
      hessian: [
        a * a * hpp - 2 * a * b * hpq + b * b * hqq,
        a * b * (hpp - hqq) + (a * a - b * b) * hpq,
        b * b * hpp + 2 * a * b * hpq + a * a * hqq,
      ],
    };
  }

  // S steps of gradient descent from theta: the path, the Jacobian [xx, xy, yx, yy] of its end, the loss there and at
  // theta with their gradients. Every factor I - alpha H of the Jacobian has its Hessian at its own point of the path.
  function descend(task, { alpha, steps, kappa }, theta) {
    const path = [theta], before = local(task, kappa, theta[0], theta[1]);
    let here = before, [x, y] = theta, [xx, xy, yx, yy] = [1, 0, 0, 1];
    for (let s = 0; s < steps; s++) {
      const [hxx, hxy, hyy] = here.hessian, fxx = 1 - alpha * hxx, fxy = -alpha * hxy, fyy = 1 - alpha * hyy;
      [xx, xy, yx, yy] = [fxx * xx + fxy * yx, fxx * xy + fxy * yy, fxy * xx + fyy * yx, fxy * xy + fyy * yy];
      x -= alpha * here.gradient[0];
      y -= alpha * here.gradient[1];
      path.push([x, y]);
      here = local(task, kappa, x, y);
    }
    return { path, jacobian: [xx, xy, yx, yy], before, after: here };
  }

  // The mean over tasks of each method's update direction at theta, the negative of its meta-gradient.
  function directions(state, theta, ways = state.tasks.map((task) => descend(task, state, theta))) {
    const found = { joint: [0, 0], reptile: [0, 0], fomaml: [0, 0], maml: [0, 0] };
    const add = (to, x, y) => { to[0] += x / ways.length; to[1] += y / ways.length; };
    for (const { path, jacobian: [xx, xy, yx, yy], before, after } of ways) {
      const [x, y] = path[path.length - 1], [gx, gy] = after.gradient;
      add(found.joint, -before.gradient[0], -before.gradient[1]);
      add(found.reptile, x - theta[0], y - theta[1]);
      add(found.fomaml, -gx, -gy);
      add(found.maml, -(xx * gx + yx * gy), -(xy * gx + yy * gy)); // the transposed Jacobian
    }
    return found;
  }

  const size = ([x, y]) => Math.hypot(x, y);
  const pointsSomewhere = (arrow) => size(arrow) > 1e-12 && Number.isFinite(size(arrow));

  // Degrees between two arrows, or null where one of them points nowhere.
  function angle(one, two) {
    if (!pointsSomewhere(one) || !pointsSomewhere(two)) return null;
    const turn = Math.atan2(one[0] * two[1] - one[1] * two[0], one[0] * two[0] + one[1] * two[1]);
    return (Math.abs(turn) * 180) / Math.PI;
  }

  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  // Everything about a state {tasks, theta, alpha, steps, kappa}: the mean loss before adapting (joint) and after
  // (maml), paths and Jacobians by task, arrows with their lengths and their angles to MAML's.
  function compute(state) {
    const ways = state.tasks.map((task) => descend(task, state, state.theta));
    const arrows = directions(state, state.theta, ways);
    const each = (what) => Object.fromEntries(METHODS.map((method) => [method, what(arrows[method])]));
    return {
      arrows, lengths: each(size), angles: each((arrow) => angle(arrow, arrows.maml)),
      paths: ways.map((way) => way.path), jacobians: ways.map((way) => way.jacobian),
      joint: mean(ways.map((way) => way.before.loss)), maml: mean(ways.map((way) => way.after.loss)),
    };
  }

  // The mean loss at theta before adapting ("joint") or after S steps ("maml").
  function objective(state, which, theta) {
    const steps = which === "joint" ? 0 : state.steps;
    return mean(state.tasks.map((task) => {
      let [x, y] = theta;
      for (let s = 0; s < steps; s++) {
        const { gradient } = local(task, state.kappa, x, y);
        x -= state.alpha * gradient[0];
        y -= state.alpha * gradient[1];
      }
      return local(task, state.kappa, x, y).loss;
    }));
  }

  // Where a start goes that follows one method's arrow: plain gradient steps at one outer rate, cut where they are
  // long, until they stand still.
  function follow(state, method) {
    let theta = state.theta;
    const trail = [theta];
    for (let k = 0; k < TRAIL.steps; k++) {
      const arrow = directions(state, theta)[method], length = size(arrow);
      if (!Number.isFinite(length)) break;
      const by = Math.min(TRAIL.rate, TRAIL.longest / length);
      if (!(by * length > TRAIL.still)) break;
      theta = [theta[0] + by * arrow[0], theta[1] + by * arrow[1]];
      trail.push(theta);
    }
    return trail;
  }

  // ---- contours ----------------------------------------------------------------------------------------------

  // Values of an objective at the corners of COLUMNS x ROWS cells, row after row from the lower left.
  function field(state, which, [left, right], [bottom, top]) {
    const xs = Array.from({ length: COLUMNS + 1 }, (_, i) => left + ((right - left) * i) / COLUMNS);
    const ys = Array.from({ length: ROWS + 1 }, (_, j) => bottom + ((top - bottom) * j) / ROWS);
    const values = ys.flatMap((y) => xs.map((x) => objective(state, which, [x, y])));
    return { xs, ys, values, levels: levels(values) };
  }

  // Nine levels, squares apart, so that the contours of a bowl are evenly spaced; the highest tenth is left out,
  // where steps that are too long may have led anywhere.
  function levels(values) {
    const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
    const low = sorted[0], high = sorted[Math.floor(0.9 * (sorted.length - 1))];
    return Array.from({ length: 9 }, (_, k) => low + (high - low) * ((k + 1) / 10) ** 2);
  }

  // Marching squares: for each set of corners below the level (1 lower left, 2 lower right, 4 upper right, 8 upper
  // left) the pieces of the contour from side to side, lower values on the left; 5 and 10 depend on the middle.
  const PIECES = { 1: "BL", 2: "RB", 3: "RL", 4: "TR", 6: "TB", 7: "TL", 8: "LT", 9: "BT", 11: "RT", 12: "LR", 13: "BR", 14: "LB" };
  const SADDLES = { 5: ["BLTR", "BRTL"], 10: ["RBLT", "RTLB"] };

  // The closed contours of a level, as lists of [x, y]. The field is framed by high ground, so that every contour
  // closes; the closing parts lie outside the field.
  function contours({ xs, ys, values }, level) {
    const width = xs.length + 2, next = new Map(), places = new Map();
    const at = (i, j) => {
      const value = i < 0 || j < 0 || i >= xs.length || j >= ys.length ? Infinity : values[j * xs.length + i];
      return Number.isFinite(value) ? value : Infinity;
    };
    const dx = xs[1] - xs[0], dy = ys[1] - ys[0];
    // A side of a cell has one number, whichever of its two cells asks.
    const side = (name, i, j) => 2 * ((j + 1 + (name === "T")) * width + i + 1 + (name === "R")) + (name === "L" || name === "R");
    const cross = (name, i, j) => {
      const key = side(name, i, j), upright = key % 2 === 1;
      if (!places.has(key)) {
        const ci = i + (name === "R"), cj = j + (name === "T");
        const from = at(ci, cj), to = upright ? at(ci, cj + 1) : at(ci + 1, cj);
        const share = Number.isFinite(from - to) ? (level - from) / (to - from) : 0.5;
        places.set(key, [xs[0] + (ci + (upright ? 0 : share)) * dx, ys[0] + (cj + (upright ? share : 0)) * dy]);
      }
      return key;
    };
    for (let j = -1; j < ys.length; j++) {
      for (let i = -1; i < xs.length; i++) {
        const corners = [at(i, j), at(i + 1, j), at(i + 1, j + 1), at(i, j + 1)];
        const below = corners.reduce((bits, value, n) => bits + (value < level ? 1 << n : 0), 0);
        const pieces = SADDLES[below] ? SADDLES[below][mean(corners) < level ? 1 : 0] : PIECES[below] || "";
        for (let n = 0; n < pieces.length; n += 2) next.set(cross(pieces[n], i, j), cross(pieces[n + 1], i, j));
      }
    }
    const loops = [];
    while (next.size) {
      const loop = [];
      let key = next.keys().next().value;
      while (next.has(key)) {
        loop.push(places.get(key));
        const last = key;
        key = next.get(last);
        next.delete(last);
      }
      loops.push(loop);
    }
    return loops;
  }

  // ---- what is drawn -----------------------------------------------------------------------------------------

  const pixel = (value) => (Number.isFinite(value) ? kit.clamp(value, -5000, 5000) : -5000);
  const place = (view, [x, y]) => [pixel(view.x(x)), pixel(view.y(y))];
  const write = (pixels) => pixels.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");
  const visible = (node, shown) => { node.style.display = shown ? "" : "none"; };

  // The picture behind the arrows: one shade a level, the darker the lower.
  function backdrop(view) {
    const group = kit.svg("g", {});
    view.curves.append(group);
    return function draw(picture, role) {
      group.replaceChildren(...picture.levels.map((level) => kit.svg("path", {
        d: contours(picture, level).map((loop) => `M${write(loop.map((point) => place(view, point)))}Z`).join(""),
        fill: kit.colour(role), "fill-opacity": 0.045, "fill-rule": "evenodd",
        stroke: kit.colour(role), "stroke-opacity": 0.35, "stroke-width": 1,
      })));
    };
  }

  // One task: its optimum with its number, and its inner path with a dot at every step.
  function taskMarks(view, number) {
    const pen = { stroke: kit.colour("muted"), fill: "none" };
    const halo = kit.svg("path", { class: "mb-trail-halo", fill: "none", style: "stroke-width:4" });
    const line = kit.svg("path", { ...pen, "stroke-width": 1.5 });
    const dots = kit.svg("g", { fill: kit.colour("muted") });
    const name = kit.svg("text", { class: "mb-halo mb-axis-label", "text-anchor": "middle" }, `φ${"₁₂₃"[number]}`);
    const path = kit.svg("g", { class: "mb-path", "clip-path": `url(#${view.clip})` }, halo, line, dots, name);
    const ring = kit.svg("circle", { ...pen, r: 9, "stroke-width": 1.5, style: "fill:var(--mb-surface)" });
    const digit = kit.svg("text", { class: "mb-axis-label", "text-anchor": "middle", dy: "0.36em" }, String(number + 1));
    const optimum = kit.svg("g", { class: "mb-optimum" }, ring, digit);
    view.marks.append(path, optimum);
    return {
      draw(points, c) {
        const pixels = points.map((point) => place(view, point)), [x, y] = pixels[pixels.length - 1];
        for (const part of [halo, line]) kit.set(part, { d: `M${write(pixels)}` });
        dots.replaceChildren(...pixels.slice(1).map(([cx, cy], s) => kit.svg("circle", { cx, cy, r: s === pixels.length - 2 ? 4.2 : 2.6 })));
        kit.set(name, { x, y: y - 9 });
        visible(name, pixels.length > 1);
        kit.set(optimum, { transform: `translate(${view.x(c[0])} ${view.y(c[1])})` });
      },
      show(shown) { visible(path, shown); },
    };
  }

  // One method: its arrow with its name, and its trail with its marker at the end.
  function methodMarks(view, method, number) {
    const look = view.made.looks[method], colour = kit.colour(method);
    const trail = kit.curve(view, method), shape = (radius) => ({ d: kit.outline(look.marker, radius), fill: colour, class: "mb-marker" });
    trail.group.firstChild.style.strokeWidth = 2;
    const end = kit.svg("path", shape(6));
    const halo = kit.svg("path", { class: "mb-trail-halo", fill: "none" });
    const shaft = kit.svg("path", { stroke: colour, fill: "none", "stroke-width": 3.5, "stroke-dasharray": look.dash.join(" ") || null });
    const head = kit.svg("path", { d: "M2 0L-13 -7L-9.5 0L-13 7Z", fill: colour, class: "mb-marker" });
    const marker = kit.svg("path", shape(4.5));
    const name = kit.svg("text", { class: "mb-halo mb-axis-label", "text-anchor": "middle", dy: "0.36em" }, method === "joint" ? "joint" : NAMES[method]);
    const arrow = kit.svg("g", { class: "mb-arrow", "data-method": method }, halo, shaft, marker, head);
    view.marks.append(end, arrow, name);
    let shown = true, points = false, followed = false;
    const show = () => {
      for (const node of [arrow, name]) visible(node, shown && points);
      visible(end, shown && followed);
      trail.show(shown && followed);
    };
    return {
      name,
      // From theta, always of the same length; returns the wanted middle of the name, or null.
      draw(theta, direction, length) {
        points = pointsSomewhere(direction);
        show();
        if (!points) return null;
        const [x, y] = place(view, theta), dx = direction[0] / size(direction), dy = -direction[1] / size(direction);
        const along = (distance) => [x + distance * dx, y + distance * dy];
        for (const part of [halo, shaft]) kit.set(part, { d: `M${write([along(9), along(length - 9)])}` });
        const [tx, ty] = along(length), [mx, my] = along(length * (0.3 + 0.13 * number));
        kit.set(head, { transform: `translate(${tx} ${ty}) rotate(${(Math.atan2(dy, dx) * 180) / Math.PI})` });
        kit.set(marker, { transform: `translate(${mx} ${my})` });
        const half = 3.9 * name.textContent.length;
        return shown ? { method, name, half, up: Math.sign(dy), x: tx + dx * (half + 7), y: ty + dy * 13 } : null;
      },
      // The first part of a trail, null for none.
      trail(thetas, share) {
        followed = thetas !== null;
        show();
        if (!followed) return;
        const part = thetas.slice(0, 1 + Math.round(share * (thetas.length - 1))), last = part[part.length - 1];
        trail.draw(part.map((theta) => theta[0]), part.map((theta) => theta[1]));
        kit.set(end, { transform: `translate(${place(view, last)})` });
        visible(end, shown && view.inside(...place(view, last)));
      },
      toggle(now) { shown = now; },
    };
  }

  // Names move apart up and down where they would lie on one another, away from theta where both are on one side.
  function spread(view, labels) {
    for (let round = 0; round < 20; round++) {
      labels.forEach((one, i) => labels.slice(i + 1).forEach((two) => {
        const gap = 15 - Math.abs(one.y - two.y);
        if (gap <= 0 || Math.abs(one.x - two.x) > one.half + two.half) return;
        const [upper, lower] = one.y <= two.y ? [one, two] : [two, one], share = (1 - one.up) / 2;
        upper.y -= gap * (one.up === two.up ? share : 0.5);
        lower.y += gap * (one.up === two.up ? 1 - share : 0.5);
      }));
      for (const label of labels) {
        label.x = kit.clamp(label.x, label.half + 2, view.width - label.half - 2);
        label.y = kit.clamp(label.y, 30, view.height - 46);
      }
    }
    for (const { name, x, y } of labels) kit.set(name, { x, y });
  }

  // ---- what is said ------------------------------------------------------------------------------------------

  const list = (parts) => parts.flatMap((part, i) => [i === 0 ? "" : i === parts.length - 1 ? " and " : ", ", ...part]);

  function explain(state, now) {
    if (!pointsSomewhere(now.arrows.maml)) return "MAML's arrow has no direction here.";
    if (state.steps === 0 || state.alpha === 0) return "Without a step joint training, FOMAML and MAML are one arrow, and Reptile has none.";
    return state.objective === "maml"
      ? "The contours are those of the loss after adapting, which MAML's arrow crosses at a right angle."
      : "The contours are those of the loss before adapting, which the arrow of joint training crosses at a right angle.";
  }

  // A trail that used up its steps has not come to rest.
  function moving(trails) {
    const names = METHODS.filter((method) => trails[method].length > TRAIL.steps).map((method) => [NAMES[method]]);
    return names.length ? ` After ${TRAIL.steps} steps ${list(names).join("")} ${names.length === 1 ? "is" : "are"} still moving.` : "";
  }

  function say(frame, state, now, trails, ends) {
    const number = (text, role) => kit.number(frame, text, role);
    const after = `after ${kit.plural(state.steps, "step", "steps")}`;
    const others = ["fomaml", "reptile", "joint"].filter((method) => now.angles[method] !== null);
    const turned = others.map((method, i) => [
      `${NAMES[method]}'s ${i ? "" : "is turned by "}`, number(`${kit.fixed(now.angles[method], 0)}°`, method), ` (length ${kit.short(now.lengths[method])})`,
    ]);
    const parts = [
      kit.paragraph(
        `At θ = (${state.theta.map((value) => kit.fixed(value, 2)).join(", ")}) the mean loss is `, number(kit.short(now.joint), "joint"),
        " before adapting and ", number(kit.short(now.maml), "maml"), ` ${after}.`,
      ),
      kit.paragraph(`MAML's arrow has the length ${kit.short(now.lengths.maml)}. `, ...(others.length ? ["Against it, ", ...list(turned), "."] : [])),
    ];
    if (ends) {
      const which = state.objective === "maml" ? after : "before adapting";
      const losses = ["maml", "fomaml", "reptile", "joint"].map((method) => [number(kit.short(ends[method]), method), ` (${NAMES[method]})`]);
      parts.push(kit.paragraph(`Where the trails end, the loss ${which} is `, ...list(losses), `.${moving(trails)}`));
    }
    frame.say(...parts, kit.aside(explain(state, now)));
  }

  // ---- the figure --------------------------------------------------------------------------------------------

  // One of two pictures, as native radio buttons.
  function choice(frame, label, options, change) {
    const inputs = {};
    const set = kit.html("fieldset", { style: "border:0;margin:0;padding:0;min-width:0" }, kit.html("legend", { class: "mb-hidden" }, label));
    set.append(kit.html("span", { style: "font-size:14px;margin-right:4px", "aria-hidden": "true" }, `${label}:`));
    for (const [value, words] of options) {
      const input = kit.html("input", { type: "radio", name: `${frame.name}-choice`, value, "data-name": value, style: "accent-color:var(--mb-accent);margin:0" });
      input.addEventListener("change", () => change(value));
      inputs[value] = input;
      set.append(kit.html("label", { class: "mb-entry", style: "cursor:pointer" }, input, kit.html("span", {}, words)));
    }
    return { node: set, put(value) { inputs[value].checked = true; } };
  }

  function build(frame, data) {
    const first = () => ({ ...data.first, theta: data.first.theta.slice(), tasks: data.tasks, follow: false });
    const state = first(), [xRange, yRange] = data.ranges;
    const margin = { left: 28, right: 8, top: 24, bottom: 38 };
    const view = kit.plot(frame, {
      margin,
      x: { domain: xRange, ticks: [-2, -1, 0, 1, 2], label: "first weight" },
      y: { domain: yRange, ticks: [-1, 0, 1], label: "second weight" },
      // One unit is as long across as up, so that angles are what they look like.
      height: (width) => ((width - margin.left - margin.right) * (yRange[1] - yRange[0])) / (xRange[1] - xRange[0]) + margin.top + margin.bottom,
      label: "Plane of two weights with a movable start",
    });
    view.picture.classList.add("mb-tappable");
    const drawBackdrop = backdrop(view);
    const tasks = data.tasks.map((_, number) => taskMarks(view, number));
    const methods = Object.fromEntries(METHODS.map((method, number) => [method, methodMarks(view, method, number)]));
    const name = kit.svg("text", { class: "mb-halo mb-axis-label", "text-anchor": "middle", dy: "0.36em" }, "θ");
    view.marks.append(...METHODS.map((method) => methods[method].name), name); // above everything else
    const handle = kit.handle(view, {
      role: "theta", x: { min: xRange[0], max: xRange[1], step: 0.05 }, y: { min: yRange[0], max: yRange[1], step: 0.05 },
      label: () => "Start theta", at: () => ({ x: state.theta[0], y: state.theta[1] }),
      value: () => ({ now: Number(state.theta[1].toFixed(4)), text: `theta ${state.theta.map((value) => kit.fixed(value, 2)).join(", ")}` }),
      move: (x, y) => go(x, y),
    });

    let picture = null, made = "", timer = 0;

    // The picture behind depends on the sliders and not on theta.
    function pictured() {
      const key = [state.objective, state.alpha, state.steps, state.kappa, view.width].join();
      if (key === made) return;
      made = key;
      picture = field(state, state.objective, xRange, yRange);
      drawBackdrop(picture, state.objective);
    }

    function redraw() {
      cancelAnimationFrame(timer);
      pictured();
      const now = compute(state);
      tasks.forEach((task, i) => task.draw(now.paths[i], state.tasks[i].c));
      const length = kit.clamp(view.width * 0.11, 50, 84);
      const labels = METHODS.map((method) => methods[method].draw(state.theta, now.arrows[method], length)).filter(Boolean);
      const trails = state.follow ? Object.fromEntries(METHODS.map((method) => [method, follow(state, method)])) : null;
      const ends = trails && Object.fromEntries(METHODS.map((method) => [method, objective(state, state.objective, trails[method][trails[method].length - 1])]));
      drawTrails(trails, 1);
      if (trails) labels.forEach((label) => toEnd(label, trails[label.method]));
      spread(view, labels);
      handle.place(...state.theta);
      nameTheta(now.arrows);
      button.textContent = state.follow ? "Hide the trails" : "Follow the arrows";
      say(frame, state, now, trails, ends);
      frame.figure.mamlbook.values = { ...now, picture, trails, ends };
    }

    // A trail is named at its end, where it is in the picture.
    function toEnd(label, trail) {
      const [x, y] = place(view, trail[trail.length - 1]);
      if (view.inside(x, y)) Object.assign(label, { x, y: y - 16, up: -1 });
    }

    // The name stands on the side that the arrows leave free.
    function nameTheta(arrows) {
      const unit = METHODS.map((method) => arrows[method]).filter(pointsSomewhere).map((arrow) => arrow.map((part) => part / size(arrow)));
      const away = [0, 1].map((i) => -unit.reduce((sum, arrow) => sum + arrow[i], 0)), length = size(away) || 1, [x, y] = place(view, state.theta);
      kit.set(name, { x: x + (17 * away[0]) / length, y: y - (17 * away[1]) / length });
    }

    function drawTrails(trails, share) {
      for (const method of METHODS) methods[method].trail(trails && trails[method], share);
    }

    // The trails grow for a moment, quickly first as plain gradient steps do; any change completes them.
    function grow() {
      if (!state.follow || window.matchMedia("(prefers-reduced-motion: reduce)").matches) return;
      const { trails } = frame.figure.mamlbook.values;
      let start = null;
      const tick = (time) => {
        start = start === null ? time : start;
        const share = Math.min(1, (time - start) / 1600);
        drawTrails(trails, share ** 2);
        if (share < 1) timer = requestAnimationFrame(tick);
      };
      drawTrails(trails, 0);
      timer = requestAnimationFrame(tick);
    }

    function go(x, y) {
      state.theta = [kit.clamp(x, ...xRange), kit.clamp(y, ...yRange)];
      redraw();
    }

    const digits = (value) => kit.fixed(value, 2);
    const put = (name) => (value) => { state[name] = value; redraw(); };
    const sliders = {
      alpha: kit.slider({ label: "Inner rate α", name: "alpha", min: 0, max: 0.3, step: 0.01, value: state.alpha, format: digits, change: put("alpha") }),
      steps: kit.slider({ label: "Steps S", name: "steps", min: 0, max: 10, value: state.steps, change: put("steps") }),
      kappa: kit.slider({ label: "Bend of the valleys", name: "kappa", min: 0, max: 1, step: 0.05, value: state.kappa, format: digits, change: put("kappa") }),
    };
    const pictures = choice(frame, "Contours", [["maml", "loss after S steps"], ["joint", "loss before adapting"]], put("objective"));
    const button = kit.button("Follow the arrows", () => { state.follow = !state.follow; redraw(); grow(); }, "follow");
    function reset() {
      Object.assign(state, first());
      for (const name in sliders) sliders[name].put(state[name]);
      pictures.put(state.objective);
      redraw();
    }

    const entry = (method) => ({ role: method, label: NAMES[method][0].toUpperCase() + NAMES[method].slice(1), toggle: (shown) => { methods[method].toggle(shown); redraw(); } });
    frame.live.append(
      kit.legend(frame, [
        ...METHODS.slice().reverse().map(entry),
        { label: "Inner paths", icon: pathKey(), toggle: (shown) => tasks.forEach((task) => task.show(shown)) },
      ]),
      pictures.node, view.holder,
      kit.html("p", { class: "mb-hint" }, "Drag θ, click where it should be, or move it with the arrow keys. The rings are the optima of the tasks."),
      kit.controls(sliders.alpha.node, sliders.steps.node, sliders.kappa.node),
      kit.buttons(button, kit.button("Reset", reset, "reset")),
      frame.says,
    );
    pictures.put(state.objective);
    view.onTap = go;
    frame.onWidth(redraw);
    frame.figure.mamlbook.state = state;
    frame.figure.mamlbook.redraw = redraw;
  }

  function pathKey() {
    const parts = [kit.svg("path", { d: "M1 6H26", stroke: kit.colour("muted"), "stroke-width": 1.5 })];
    for (const [cx, r] of [[9, 2.6], [17, 2.6], [25, 4.2]]) parts.push(kit.svg("circle", { cx, cy: 6, r, fill: kit.colour("muted") }));
    return kit.svg("svg", { class: "mb-key", width: 30, height: 12, "aria-hidden": "true" }, ...parts);
  }

  book.arrows = Object.freeze({ compute, objective, field, contours, follow });
  kit.define("arrows", build);
})();
