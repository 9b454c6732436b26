// A dial from equal to different tasks: the stored errors of several algorithms at every position that was measured.
(function () {
  "use strict";
  const book = window.mamlbook, kit = book.kit;
  if (book.diversity) return;

  // ---- the verdicts ------------------------------------------------------------------------------------------

  // What one algorithm reaches at a position after some steps, at the common rate or at each run's own best one, as
  // measured or over the mean square of the targets. Python has made means and half-widths; where a run diverged both
  // are null.
  function measured(data, role, { position, steps, relative, tuned }) {
    const found = (tuned ? data.tuned : data.errors)[role][position], lost = found.lost[steps], { runs } = found;
    if (lost > 0) return { mean: null, half: null, low: null, high: null, lost, runs };
    const size = relative ? data.powers[position] : 1, mean = found.mean[steps] / size, half = found.half[steps] / size;
    return { mean, half, low: mean - half, high: mean + half, lost, runs };
  }

  // The error of the best single curve for all tasks of a position, null where it is 0.
  function least(data, { position, relative }) {
    const spread = data.spread[position];
    return spread === null ? null : spread / (relative ? data.powers[position] : 1);
  }

  // The algorithms that are shown, in order of their means, and those that lead: the lowest mean and every one whose
  // interval overlaps its interval.
  function ranking(data, state) {
    const found = {};
    for (const role in data.errors) if (state.shown[role]) found[role] = measured(data, role, state);
    const order = Object.keys(found).filter((role) => found[role].mean !== null).sort((a, b) => found[a].mean - found[b].mean);
    return { found, order, lead: order.filter((role) => found[role].low <= found[order[0]].high) };
  }

  // Where the lead passes on. A lead lasts as long as somebody has been in it at every position: a tie ends nothing.
  // A pass lies between two positions: `after` the last one at which the new lead was not yet in a tie for it.
  function passing(leads) {
    const passes = [];
    let held = [], since = [];
    leads.forEach((lead, i) => {
      if (lead.length === 0) return;
      const still = held.filter((role) => lead.includes(role));
      if (since.length > 0 && still.length === 0) {
        const apart = since.filter((j) => !leads[j].some((role) => lead.includes(role)));
        passes.push({ from: held, to: lead, after: (apart.length > 0 ? apart : since).at(-1), before: i });
      }
      since = still.length > 0 ? [...since, i] : [i];
      held = still.length > 0 ? still : lead;
    });
    return { passes, held };
  }

  // Everything about a state {position (its number), steps, relative, tuned, shown}.
  function compute(data, state) {
    const leads = data.positions.map((_, position) => ranking(data, { ...state, position }).lead);
    return { ...ranking(data, state), leads, ...passing(leads) };
  }

  // ---- words -------------------------------------------------------------------------------------------------

  // A mean to three digits, its half-width to the same place.
  function written({ mean, half }) {
    if (mean >= 1e6 || mean < 1e-6) return kit.short(mean);
    const digits = Math.max(0, 2 - Math.floor(Math.log10(mean)));
    return `${kit.fixed(mean, digits)} ± ${kit.fixed(half, digits)}`;
  }

  function more(mean, least) {
    const ratio = mean / least, percent = Math.round(100 * (ratio - 1));
    if (!(ratio < 2)) return `${kit.short(ratio)} times as much`;
    return percent < 1 ? "less than 1\u00a0% more" : `${percent}\u00a0% more`;
  }

  const joined = (words) => (words.length > 1 ? `${words.slice(0, -1).join(", ")} and ${words.at(-1)}` : words.join(""));
  const after = ({ steps, tuned }) => (steps === 0 ? "before any test step" : `after ${kit.plural(steps, "test step", "test steps")}${tuned ? ", each at its own best rate" : ""}`);
  const capital = (text) => text[0].toUpperCase() + text.slice(1);

  function verdict(frame, data, state, now) {
    const [first, ...others] = now.order, name = (role) => data.names[role];
    const number = (role) => kit.number(frame, written(now.found[role]), role);
    const where = `At “${data.labels[state.position]}”, ${after(state)}, `, error = state.relative ? "relative error" : "error";
    if (!first) return [where, "no algorithm that is shown has a mean to compare."];
    if (others.length === 0) return [where, `${name(first)} has the ${error} `, number(first), "."];
    const lowest = [where, `${name(first)} has the lowest ${error}, `, number(first)];
    const beside = (role) => [`${name(role)} has `, number(role), `, ${more(now.found[role].mean, now.found[first].mean)}`];
    const tied = now.lead.slice(1);
    if (tied.length === 0) return [...lowest, ". Next, ", ...beside(others[0]), "; their intervals do not overlap."];
    const parts = tied.flatMap((role, i) => [i === 0 ? "" : i === tied.length - 1 ? ", and " : ", ", ...beside(role)]);
    return [...lowest, ", but it is a tie: ", ...parts, tied.length === 1 ? "; the two intervals overlap." : "; their intervals overlap its own."];
  }

  // What the verdict left out: the algorithms further behind, and those that have no mean.
  function rest(data, now) {
    const named = Math.max(now.lead.length, 2);
    const behind = now.order.slice(named).map((role) => `${data.names[role]} ${written(now.found[role])}`);
    const lost = Object.keys(now.found).filter((role) => now.found[role].lost > 0);
    const gone = lost.map((role) => `${now.found[role].lost} of ${kit.plural(now.found[role].runs, "run", "runs")} of ${data.names[role]} diverged, so there is no mean to show.`);
    return [...(behind.length > 0 ? [`Behind: ${joined(behind)}.`] : []), ...gone].join(" ");
  }

  function along(data, state, now) {
    const place = (i) => `“${data.labels[i]}”`, names = (roles) => joined(roles.map((role) => data.names[role]));
    const whole = `Along the whole dial, ${after(state)}, `;
    if (Object.values(state.shown).filter(Boolean).length < 2 || now.held.length === 0) return "";
    if (now.passes.length === 0) return `${whole}${names(now.held)} ${now.held.length > 1 ? "are" : "is"} lowest or in a tie for it.`;
    const parts = now.passes.map((pass) => `from ${names(pass.from)} to ${names(pass.to)} between ${place(pass.after)} and ${place(pass.before)}`);
    return `${whole}the lead passes ${joined(parts)}.`;
  }

  function say(frame, data, state, now) {
    const asides = [rest(data, now), along(data, state, now)].filter(Boolean);
    frame.say(kit.paragraph(...verdict(frame, data, state, now)), ...asides.map((text) => kit.aside(text)));
  }

  // ---- the figure --------------------------------------------------------------------------------------------

  const range = (low, high) => Array.from({ length: high - low + 1 }, (_, i) => low + i);

  // The stretches of neighbouring places that all have a mean.
  function stretches(intervals) {
    const found = [[]];
    intervals.forEach((one, i) => { if (one.mean === null) found.push([]); else found.at(-1).push(i); });
    return found.filter((places) => places.length > 0);
  }

  // A curve over measured places with its band of intervals; a place without a mean is a gap in both.
  function banded(view, role, marked) {
    const band = kit.svg("path", { fill: kit.colour(role), "fill-opacity": 0.16 });
    view.curves.prepend(band); // below every curve
    const curve = kit.curve(view, role, { marked });
    const corner = (x, y) => `${view.x(x).toFixed(1)} ${kit.clamp(view.y(y), -9999, 9999).toFixed(1)}`;
    return {
      draw(xs, intervals, offset) {
        const around = (places) => [...places.map((i) => corner(xs[i], intervals[i].high)), ...places.reverse().map((i) => corner(xs[i], intervals[i].low))];
        kit.set(band, { d: stretches(intervals).map((places) => `M${around(places).join("L")}Z`).join("") });
        curve.draw(xs, intervals.map((one) => one.mean), offset);
      },
      show(visible) {
        curve.show(visible);
        band.style.display = visible ? "" : "none";
      },
    };
  }

  const RING = { rx: 9, fill: "none", stroke: kit.colour("text"), "stroke-width": 1.5 };

  // A ring around each lead, longer around a tie. leads: [x, the intervals in the lead].
  function rings(view) {
    const group = kit.svg("g", { "clip-path": `url(#${view.clip})` });
    view.marks.append(group);
    return (leads) => group.replaceChildren(...leads.filter(([, found]) => found.length > 0).map(([x, found]) => {
      const ys = found.map(({ mean }) => kit.clamp(view.y(mean), -999, 9999)), top = Math.min(...ys) - 9;
      return kit.svg("rect", { ...RING, x: view.x(x) - 9, width: 18, y: top, height: Math.max(...ys) + 9 - top });
    }));
  }

  function ringKey() {
    return kit.svg("svg", { class: "mb-key", width: 20, height: 20, viewBox: "-10 -10 20 20", "aria-hidden": "true" }, kit.svg("rect", { ...RING, x: -9, y: -9, width: 18, height: 18 }));
  }

  function build(frame, data) {
    const roles = Object.keys(data.errors), steps = range(0, data.steps), { positions } = data;
    const state = { ...data.first, shown: Object.fromEntries(roles.map((role) => [role, true])) };
    const [first, last] = [positions[0], positions.at(-1)], room = 0.04 * (last - first);
    const longest = Math.max(...data.axes.flatMap(({ ticks }) => ticks.map((tick) => String(tick).length)));
    const margin = { left: Math.max(34, 14 + 7.5 * longest) }; // for the ticks' names
    const stepTicks = steps.filter((s) => s % Math.max(1, Math.ceil(data.steps / 4)) === 0);
    const dial = kit.plot(frame, {
      margin, x: { domain: [first - room, last + room], ticks: positions, label: "how different the tasks are" }, y: { log: true, ...data.axes[0] },
      height: (width) => Math.round(kit.clamp(width * 0.4, 250, 320)), label: "Error of each algorithm over the diversity of the tasks, with a movable dial",
    });
    const path = kit.plot(frame, {
      margin, x: { domain: [-0.04 * data.steps, 1.04 * data.steps], ticks: stepTicks, label: "test steps" }, y: { log: true, ...data.axes[0] },
      height: (width) => Math.round(kit.clamp(width * 0.34, 220, 270)), label: "Error of each algorithm over the test steps, with a movable number of steps",
    });
    for (const view of [dial, path]) view.picture.classList.add("mb-tappable");

    const curves = {};
    for (const role of roles.slice().reverse()) curves[role] = [banded(dial, role, positions.length), banded(path, role, 5)]; // the first on top
    const single = data.spread && [dial, path].map((view) => kit.curve(view, data.roles.single));
    const ring = [rings(dial), rings(path)];
    const dialHandle = kit.handle(dial, {
      role: "theta", rule: true, x: { min: first, max: last, stops: positions }, y: null,
      label: () => "Diversity", at: () => ({ x: positions[state.position], y: null }),
      value: () => ({ now: positions[state.position], text: data.labels[state.position] }),
      move: (x) => turn(positions.indexOf(x)),
    });
    const pathHandle = kit.handle(path, {
      role: "theta", rule: true, x: { min: 0, max: data.steps, stops: steps }, y: null,
      label: () => "Test steps", at: () => ({ x: state.steps, y: null }),
      value: () => ({ now: state.steps, text: kit.plural(state.steps, "test step", "test steps") }),
      move: (x) => walk(x),
    });

    function axes() {
      const y = data.axes[Number(state.relative)], place = `at “${data.labels[state.position]}”`;
      const what = state.relative ? "error ÷ mean square of y" : "mean squared error";
      Object.assign(dial.options.y, y, { label: `${what}, ${after({ steps: state.steps })}` });
      // A phone has no room for both, and the plot above says what is measured.
      Object.assign(path.options.y, y, { label: [`${what} ${place}`, place].find((text) => text.length * 6.6 < path.width) || place });
      for (const view of [dial, path]) view.layout(view.width);
    }

    function redraw() {
      const now = compute(data, state), at = (role, place) => measured(data, role, { ...state, ...place });
      axes();
      roles.forEach((role, i) => {
        curves[role][0].draw(positions, positions.map((_, position) => at(role, { position })));
        curves[role][1].draw(steps, steps.map((s) => at(role, { steps: s })), 0.3 + 0.1 * i);
      });
      if (single) {
        const spread = positions.map((_, position) => least(data, { ...state, position })), here = spread[state.position];
        single[0].draw(positions, spread);
        single[1].draw([0, data.steps], [here, here]);
      }
      ring[0](now.leads.map((lead, position) => [positions[position], lead.map((role) => at(role, { position }))]));
      ring[1]([[state.steps, now.lead.map((role) => now.found[role])]]);
      dialHandle.place(positions[state.position], null);
      pathHandle.place(state.steps, null);
      for (const [name, control] of Object.entries(sliders)) control.put(state[name]);
      for (const [name, node] of switches) kit.set(node, { "aria-pressed": String(state[name]) });
      say(frame, data, state, now);
      frame.figure.mamlbook.values = now;
    }

    function change(what) {
      Object.assign(state, what);
      redraw();
    }

    const turn = (position) => change({ position }), walk = (s) => change({ steps: s });
    const sliders = {
      position: kit.slider({ label: "Diversity", name: "position", min: 0, max: positions.length - 1, value: state.position, format: (i) => data.labels[i], change: turn }),
      steps: kit.slider({ label: "Test steps", name: "steps", min: 0, max: data.steps, value: state.steps, change: walk }),
    };
    const offered = [["relative", "Relative to the tasks’ own size", data.powers], ["tuned", "Each at its own best rate", data.tuned]];
    const switches = offered.filter(([, , there]) => there).map(([name, label]) => [name, kit.button(label, () => change({ [name]: !state[name] }), name)]);
    const toggle = (role) => (visible) => {
      for (const curve of curves[role]) curve.show(visible);
      state.shown[role] = visible;
      redraw();
    };

    const entries = roles.map((role) => ({ role, label: capital(data.names[role]), toggle: toggle(role) }));
    if (single) entries.push({ role: data.roles.single, label: "Best single curve", toggle: (visible) => single.forEach((curve) => curve.show(visible)) });
    frame.live.append(
      kit.legend(frame, [...entries, { icon: ringKey(), label: "Lowest, or in a tie for it" }]),
      dial.holder, path.holder,
      kit.html("p", { class: "mb-hint" }, "Drag a rule, click where it should be, or move it with the arrow keys. Only the marked positions of the dial were measured; the lines between them guide the eye."),
      kit.controls(sliders.position.node, sliders.steps.node),
      kit.buttons(...switches.map(([, node]) => node), kit.button("Reset", () => change(data.first), "reset")),
      frame.says,
    );
    dial.onTap = (x) => turn(positions.indexOf(kit.nearestStop(x, positions)));
    path.onTap = (x) => walk(kit.nearestStop(x, steps));
    frame.onWidth(redraw);
    frame.figure.mamlbook.state = state;
    frame.figure.mamlbook.redraw = redraw;
  }

  book.diversity = Object.freeze({ compute });
  kit.define("diversity", build);
})();
