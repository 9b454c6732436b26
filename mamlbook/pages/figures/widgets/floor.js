// Meta-training on bowls: the expected squared distance of the start over the tasks that were used, and its floor.
(function () {
  "use strict";
  const book = window.mamlbook, kit = book.kit;
  if (book.floor) return;

  const ROLES = { batch: "first", same: "second", ratio: "third" }; // settings of one rule: no methods
  const NAMES = Object.keys(ROLES);

  // ---- the formulas ------------------------------------------------------------------------------------------

  // The expected squared distance after k outer steps: what is left of the start, and the noise of the tasks.
  function after(k, beta, tasks, { outer, start }) {
    const move = beta * outer, left = (1 - move) ** k, shrink = (1 - move) ** 2;
    const terms = Math.abs(1 - shrink) < 1e-9 ? k : (1 - left * left) / (1 - shrink);
    return { left, distance: left * left * start * start + (move * move * terms) / tasks };
  }

  // The variance that a further step does not change; null where theta runs away.
  const floorOf = (beta, tasks, { outer }) => (beta * outer < 2 ? (beta * outer) / (2 - beta * outer) / tasks : null);

  // The rate and the meta-batch of each curve.
  const settings = ({ beta, tasks }) => ({ batch: [beta, tasks], same: [beta, 1], ratio: [beta / tasks, 1] });

  // Everything about a state {beta, tasks, used}: used tasks make used / tasks whole outer steps.
  function compute(data, state) {
    const found = Object.entries(settings(state)).map(([name, [beta, tasks]]) => {
      const steps = Math.floor(state.used / tasks);
      return [name, { beta, tasks, steps, ...after(steps, beta, tasks, data), floor: floorOf(beta, tasks, data) }];
    });
    return { move: state.beta * data.outer, ...Object.fromEntries(found) };
  }

  // ---- what the figure says ----------------------------------------------------------------------------------

  const digits = (value) => kit.minus(String(Number(value.toPrecision(3))));

  // Two digits, however small; who runs away may leave the range of numbers.
  function short(value) {
    if (value >= 1e6) return "over a million";
    if (Math.abs(value) >= 0.001 || value === 0) return kit.short(value);
    return Math.abs(value) < 1e-6 ? "below a millionth" : kit.minus(value.toFixed(1 - Math.floor(Math.log10(Math.abs(value)))));
  }

  function floors(frame, now) {
    const number = (name) => kit.number(frame, short(now[name].floor), ROLES[name]);
    if (now.batch.floor !== null) return kit.paragraph("The floors are ", number("batch"), ", ", number("same"), " and ", number("ratio"), ".");
    if (now.ratio.floor === null) return kit.paragraph("None of them has a floor.");
    return kit.paragraph("At the rate β there is no floor. That of one task at β/B is ", number("ratio"), ".");
  }

  function verdict(state, now) {
    const move = `βh̄ = ${digits(now.move)}`;
    if (now.batch.floor === null) return `${move} is not below 2: at this rate every step goes more than twice the way to its tasks, and θ runs away.`;
    if (state.tasks === 1) return `${move}. With a single task in the meta-batch the three curves are one.`;
    const more = now.batch.floor / now.ratio.floor - 1;
    const lies = `lies ${more < 0.995 ? `${Math.max(1, Math.round(100 * more))} % above that` : `at ${kit.short(1 + more)} times that`} of one task at β/B`;
    return `${move}: the floor of the meta-batch ${more < 0.005 ? "is as good as that of one task at β/B" : lies}. ${now.move < 0.25 ? "Almost only the ratio counts." : "The ratio no longer decides alone."}`;
  }

  function say(frame, state, now) {
    const number = (name) => kit.number(frame, short(now[name].distance), ROLES[name]);
    frame.say(
      kit.paragraph(`After ${kit.plural(state.used, "task", "tasks")}, the meta-batch of ${state.tasks} has made ${kit.plural(now.batch.steps, "outer step", "outer steps")} and is at `, number("batch"),
        `. One task at a time is at `, number("same"), " at the same rate, and at ", number("ratio"), ` at β/B = ${digits(now.ratio.beta)}.`),
      floors(frame, now),
      kit.aside(verdict(state, now)),
    );
  }

  // ---- what the figure draws ---------------------------------------------------------------------------------

  // A staircase: theta moves when a meta-batch is complete.
  function course(data, beta, tasks) {
    const xs = [], ys = [];
    for (let k = 0; k * tasks <= data.most; k++) {
      const { distance } = after(k, beta, tasks, data);
      xs.push(k * tasks, Math.min(data.most, (k + 1) * tasks));
      ys.push(distance, distance);
    }
    return [xs, ys];
  }

  // A curve with its role's marker where the rule stands.
  function marked(view, role) {
    const line = kit.curve(view, role), dot = kit.svg("path", { d: kit.outline(view.made.looks[role].marker, 5.5), fill: kit.colour(role), class: "mb-marker" });
    const group = kit.svg("g", { "clip-path": `url(#${view.clip})` }, dot);
    view.marks.append(group);
    return {
      line,
      draw([xs, ys], x, y) {
        line.draw(xs, ys);
        kit.set(dot, { transform: `translate(${view.x(x)} ${kit.clamp(view.y(y), -99, 9999)})` });
      },
      show(shown) { line.show(shown); group.style.display = shown ? "" : "none"; },
    };
  }

  function build(frame, data) {
    const state = { ...data.first };
    const view = kit.plot(frame, {
      margin: { left: 46, right: 20 }, label: "Expected squared distance over the tasks used, with a movable number of tasks",
      x: { domain: [0, data.most], ticks: [0, 200, 400, 600, 800, 1000], label: "tasks used" },
      y: { domain: [0.001, 100], ticks: [0.001, 0.01, 0.1, 1, 10, 100], label: "expected squared distance to the best start", log: true },
      height: (width) => Math.round(kit.clamp(width * 0.48, 270, 350)),
    });
    view.picture.classList.add("mb-tappable");
    const curves = Object.fromEntries(NAMES.map((name) => [name, marked(view, ROLES[name])]));
    // The dotted curve of the same ratio lies on this one, which is wider than the dots.
    curves.batch.line.group.firstChild.style.strokeWidth = 5;
    const put = (change) => { Object.assign(state, change); redraw(); };
    const go = (used) => put({ used: Math.round(kit.clamp(used, 0, data.most)) });
    const rule = kit.handle(view, {
      role: "theta", rule: true, x: { min: 0, max: data.most, step: 10 }, y: null, move: go,
      label: () => "Tasks used", at: () => ({ x: state.used, y: null }), value: () => ({ now: state.used, text: kit.plural(state.used, "task", "tasks") }),
    });
    const slide = (name, label, stops) => kit.slider({
      label, name, min: 0, max: stops.length - 1, value: stops.indexOf(state[name]),
      format: (i) => String(stops[i]), change: (i) => put({ [name]: stops[i] }),
    });
    const sliders = { beta: slide("beta", "Outer rate β", data.betas), tasks: slide("tasks", "Meta-batch B", data.batches) };

    function apply(next) {
      sliders.beta.put(data.betas.indexOf(next.beta));
      sliders.tasks.put(data.batches.indexOf(next.tasks));
      put(next);
    }

    // Both times the same factor, if both sliders have it.
    const times = (factor) => ({ beta: data.betas.find((one) => Math.abs(one / state.beta / factor - 1) < 1e-9), tasks: data.batches.find((one) => one === state.tasks * factor) });
    const both = { quarter: 0.25, four: 4 };
    const change = (factor) => { const next = times(factor); if (next.beta && next.tasks) apply(next); };
    const ratios = { quarter: kit.button("A quarter of both", () => change(0.25), "quarter"), four: kit.button("Four times both", () => change(4), "four") };

    function redraw() {
      const now = compute(data, state);
      for (const name of NAMES) curves[name].draw(course(data, now[name].beta, now[name].tasks), state.used, now[name].distance);
      rule.place(state.used, null);
      for (const name of Object.keys(ratios)) {
        const next = times(both[name]);
        ratios[name].disabled = !(next.beta && next.tasks);
      }
      say(frame, state, now);
      frame.figure.mamlbook.values = now;
    }

    view.onTap = go;
    const entry = (name, label) => ({ role: ROLES[name], label, toggle: (shown) => curves[name].show(shown) });
    frame.live.append(
      kit.legend(frame, [entry("batch", "B tasks at the rate β"), entry("same", "One task at β"), entry("ratio", "One task at β/B")]),
      view.holder,
      kit.html("p", { class: "mb-hint" }, "Drag the rule along the tasks, click where it should be, or move it with the arrow keys."),
      kit.controls(sliders.beta.node, sliders.tasks.node),
      kit.buttons(ratios.quarter, ratios.four, kit.button("Reset", () => apply(data.first), "reset")),
      frame.says,
    );
    frame.onWidth(redraw);
    frame.figure.mamlbook.state = state;
    frame.figure.mamlbook.redraw = redraw;
  }

  book.floor = Object.freeze({ compute });
  kit.define("floor", build);
})();
