// One weight under a relu: a loss with a kink, a MAML objective with a jump, and its slope asked for in two ways.
(function () {
  "use strict";
  const book = window.mamlbook, kit = book.kit;
  if (book.kink) return;

  // ---- the formulas ------------------------------------------------------------------------------------------

  // The loss of relu(w) x at x = y = 1 with its first two derivatives; at 0 the relu has the slope 0, as in PyTorch.
  const loss = (w) => (Math.max(w, 0) - 1) ** 2 / 2;
  const lossSlope = (w) => (w > 0 ? w - 1 : 0);
  const lossCurvature = (w) => (w > 0 ? 1 : 0);

  const adapted = (w, alpha) => w - alpha * lossSlope(w);
  const objective = (w, alpha) => loss(adapted(w, alpha));

  // The slope by the chain rule through the step, which is what automatic differentiation finds.
  const slope = (w, alpha) => lossSlope(adapted(w, alpha)) * (1 - alpha * lossCurvature(w));

  // Where F starts again on the right of 0; on the left it ends at 1/2.
  const again = (alpha) => (1 - alpha) ** 2 / 2;

  // Everything about a state {alpha, w, h}. F(0) lies on the left branch.
  function compute({ alpha, w, h }) {
    const ends = [w - h, w + h], heights = ends.map((end) => objective(end, alpha));
    return {
      loss: loss(w), adapted: adapted(w, alpha), maml: objective(w, alpha), slope: slope(w, alpha),
      ends, heights, difference: (heights[1] - heights[0]) / (2 * h),
      straddles: ends[0] <= 0 && ends[1] > 0, jump: again(alpha) - 0.5,
    };
  }

  // ---- the figure --------------------------------------------------------------------------------------------

  const range = (low, high, number) => Float64Array.from({ length: number + 1 }, (_, i) => low + ((high - low) * i) / number);

  function explain(now) {
    const ends = `The interval from ${kit.fixed(now.ends[0], 2)} to ${kit.fixed(now.ends[1], 2)}`;
    if (!now.straddles) return `${ends} lies on one side of 0, where F is smooth and the two slopes agree.`;
    if (now.jump === 0) return `${ends} straddles 0, where without a step F = L has a kink but no jump.`;
    return `${ends} straddles 0, so the difference is mostly the jump of F there, by ${kit.fixed(now.jump, 3)}, which differentiation never sees.`;
  }

  function say(frame, { roles }, state, now) {
    const { number, fixed } = { ...kit, number: (value, role) => kit.number(frame, kit.fixed(value, 3), role) };
    frame.say(
      kit.paragraph(`At θ = ${fixed(state.w, 2)} the step leads to φ = ${fixed(now.adapted, 2)}, and F is `, number(now.maml, "maml"), "."),
      kit.paragraph("Its slope is ", number(now.slope, roles.tangent), " by differentiation and ", number(now.difference, roles.secant), " by finite difference."),
      kit.aside(explain(now)),
    );
  }

  // The two ends at the jump: filled where F has its value, open where it starts again.
  function jumpMarks(view) {
    const filled = kit.svg("circle", { r: 5, fill: kit.colour("maml"), class: "mb-marker" });
    const open = kit.svg("circle", { r: 4.5, stroke: kit.colour("maml"), class: "mb-trail-start" });
    const group = kit.svg("g", {}, filled, open);
    view.marks.append(group);
    return {
      draw(alpha) {
        kit.set(filled, { cx: view.x(0), cy: view.y(0.5) });
        kit.set(open, { cx: view.x(0), cy: view.y(again(alpha)) });
        for (const mark of [filled, open]) mark.style.display = alpha > 0 ? "" : "none";
      },
      show(visible) { group.style.display = visible ? "" : "none"; },
    };
  }

  // A straight line through a point, with the role's marker at some places of it.
  function straight(view, role, number) {
    const line = kit.curve(view, role);
    const shape = kit.outline(view.made.looks[role].marker, 5);
    const marks = Array.from({ length: number }, () => kit.svg("path", { d: shape, fill: kit.colour(role), class: "mb-marker" }));
    const group = kit.svg("g", { "clip-path": `url(#${view.clip})` }, ...marks);
    view.marks.append(group);
    return {
      draw([x, y], rise, reach, places) {
        line.draw([x - reach, x + reach], [y - rise * reach, y + rise * reach]);
        places.forEach(([a, b], i) => kit.set(marks[i], { transform: `translate(${view.x(a)} ${view.y(b)})` }));
      },
      show(visible) {
        line.show(visible);
        group.style.display = visible ? "" : "none";
      },
    };
  }

  function build(frame, data) {
    const state = { ...data.first }, { roles } = data;
    const [low, high] = data.range, below = [low, 0], above = range(0, high, 200);
    const view = kit.plot(frame, {
      margin: { left: 40 }, spill: 8, // a curve may touch zero
      x: { domain: [low, high], ticks: [-0.5, 0, 0.5, 1, 1.5], label: "weight θ" },
      y: { domain: [0, 0.6], ticks: [0, 0.1, 0.2, 0.3, 0.4, 0.5], label: "loss and objective" },
      height: (width) => Math.round(kit.clamp(width * 0.5, 270, 360)), label: "Loss and MAML objective over the weight, with a movable weight",
    });
    view.picture.classList.add("mb-tappable");

    const interval = kit.svg("rect", { fill: kit.colour(roles.secant), "fill-opacity": 0.12 });
    view.curves.append(interval);
    const left = kit.curve(view, "maml"), right = kit.curve(view, "maml"), plain = kit.curve(view, roles.loss);
    // The dashed loss lies on this piece, so it is wider than the dashes.
    left.group.firstChild.style.strokeWidth = 5.5;
    const jump = jumpMarks(view);
    const secant = straight(view, roles.secant, 2), tangent = straight(view, roles.tangent, 1);
    const handle = kit.handle(view, {
      role: "theta", rule: true, x: { min: low, max: high, step: 0.01 }, y: null,
      label: () => "Weight θ", at: () => ({ x: state.w, y: null }),
      value: () => ({ now: Number(state.w.toFixed(4)), text: `θ ${kit.fixed(state.w, 2)}` }),
      move: (w) => go(w),
    });

    function redraw() {
      const now = compute(state), { alpha, w, h } = state;
      left.draw(below, [0.5, 0.5]);
      right.draw(above, Array.from(above, (x, i) => (i === 0 ? again(alpha) : objective(x, alpha))));
      plain.draw([low, ...above], [low, ...above].map(loss));
      jump.draw(alpha);
      const top = view.y(0.6);
      kit.set(interval, { x: view.x(w - h), width: view.x(w + h) - view.x(w - h), y: top, height: view.y(0) - top });
      // Short intervals too show a line that the eye can follow.
      secant.draw([w, (now.heights[0] + now.heights[1]) / 2], now.difference, Math.max(h, 0.3), now.ends.map((end, i) => [end, now.heights[i]]));
      tangent.draw([w, now.maml], now.slope, 0.3, [[w, now.maml]]);
      handle.place(w, null);
      say(frame, data, state, now);
      frame.figure.mamlbook.values = now;
    }

    function go(w) {
      state.w = kit.clamp(w, low, high);
      redraw();
    }

    const digits = (value) => kit.fixed(value, 2);
    const put = (change) => (value) => { change(value); redraw(); };
    const sliders = {
      h: kit.slider({ label: "Step ε of the finite difference", name: "h", min: 0.01, max: 0.5, step: 0.01, value: state.h, format: digits, change: put((v) => { state.h = v; }) }),
      alpha: kit.slider({ label: "Step size α", name: "alpha", min: 0, max: 1, step: 0.01, value: state.alpha, format: digits, change: put((v) => { state.alpha = v; }) }),
    };
    function reset() {
      Object.assign(state, data.first);
      sliders.h.put(state.h);
      sliders.alpha.put(state.alpha);
      redraw();
    }

    const all = (...parts) => (shown) => parts.forEach((part) => part.show(shown));
    const shade = { show: (visible) => { interval.style.display = visible ? "" : "none"; } };
    frame.live.append(
      kit.legend(frame, [
        { role: roles.loss, label: "Loss L", toggle: all(plain) },
        { role: "maml", label: "MAML objective F", toggle: all(left, right, jump) },
        { role: roles.tangent, label: "Tangent (differentiation)", toggle: all(tangent) },
        { role: roles.secant, label: "Secant (finite difference)", toggle: all(secant, shade) },
      ]),
      view.holder,
      kit.html("p", { class: "mb-hint" }, "Drag θ, click where it should be, or move it with the arrow keys."),
      kit.controls(sliders.h.node, sliders.alpha.node),
      kit.buttons(
        // Half a step right of 0, in hundredths, so that the interval always straddles it.
        kit.button("To the jump", () => go(Math.ceil(state.h * 50) / 100), "jump"),
        kit.button("Reset", reset, "reset"),
      ),
      frame.says,
    );
    view.onTap = go;
    frame.onWidth(redraw);
    frame.figure.mamlbook.state = state;
    frame.figure.mamlbook.redraw = redraw;
  }

  book.kink = Object.freeze({ compute });
  kit.define("kink", build);
})();
