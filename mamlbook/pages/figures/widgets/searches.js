// The searches of the field: error against the outer rate for any row, both rounds, with MAML's beside it.
(function () {
  "use strict";
  const book = window.mamlbook, kit = book.kit;
  if (book.searches) return;

  const rateOf = (beta) => Math.log10(beta);
  const mean = (values) => (values.includes(null) ? null : values.reduce((sum, value) => sum + value, 0) / values.length);

  // The settings of a round, as [beta, what else is told, errors for each budget], that were trained for a budget.
  function trials(entry, round, budget) {
    const named = (values) => Object.fromEntries(entry.names.map((name, i) => [name, values[i]]));
    return entry[round].map(([beta, told, errors]) => ({ beta, told: named(told), errors: errors[budget] })).filter(({ errors }) => errors.length > 0);
  }

  // Of each outer rate the setting with the least error from one seed, the rates in rising order.
  function envelope(entry, budget) {
    const best = new Map();
    for (const { beta, told, errors: [error] } of trials(entry, "tried", budget)) {
      if (error !== null && !(best.get(beta)?.error <= error)) best.set(beta, { beta, error, told });
    }
    return [...best.values()].sort((a, b) => a.beta - b.beta);
  }

  // What a state {entry, budget, beta} shows. rates: all that were tried for this entry, in rising order.
  function compute(data, { entry, budget, beta }) {
    const own = data.entries[entry], other = data.entries.find((one) => one.name === own.against);
    const final = trials(own, "final", budget).map((one) => ({ ...one, mean: mean(one.errors) }));
    const found = envelope(own, budget), maml = other && other !== own ? envelope(other, budget) : [];
    const at = (curve) => curve.find((one) => one.beta === beta) || null;
    const rates = [...new Set([...own.tried, ...own.final].map(([beta]) => beta))].sort((a, b) => a - b);
    return { own, found, maml, final, chosen: own.chosen[budget], rates, here: at(found), beside: at(maml), second: final.filter((one) => one.beta === beta) };
  }

  // ---- what the figure says ----------------------------------------------------------------------------------

  const words = (told) => Object.entries(told).map(([name, value]) => `${name} ${value}`).join(", ");
  const behind = (told) => (Object.keys(told).length > 0 ? ` (${words(told)})` : "");

  function spread(errors) {
    const ended = errors.filter((error) => error !== null), lost = errors.length - ended.length;
    const gone = lost > 0 ? `; ${lost} of ${kit.plural(errors.length, "run", "runs")} came to no end` : "";
    return (ended.length > 0 ? ended.map(kit.short).join(", ") : "no error") + gone;
  }

  function say(frame, data, state, now) {
    const number = (value, role) => kit.number(frame, kit.short(value), role);
    const { own, here, beside, second, chosen } = now, lines = [];
    const first = here ? ["the first round’s best has the error ", number(here.error, data.roles.row), behind(here.told)] : ["the first round has no error"];
    const other = beside ? ["; MAML’s best with this rate has ", number(beside.error, "maml")] : [];
    lines.push(kit.paragraph(kit.html("strong", {}, `${own.name}, β = ${state.beta}: `), ...first, ...other, "."));
    for (const one of second) lines.push(kit.paragraph(`From other seeds${behind(one.told)}: ${spread(one.errors)}${one.mean === null ? "." : ", "}`, ...(one.mean === null ? [] : ["in the mean ", number(one.mean, data.roles.final), "."])));
    const budget = kit.plural(chosen.meta_steps, "meta-step", "meta-steps");
    lines.push(kit.aside(`Chosen: β ${chosen.beta}${Object.keys(chosen.told).length > 0 ? `, ${words(chosen.told)}` : ""}, ${kit.plural(chosen.inner_steps, "inner step", "inner steps")} in the test, after ${budget}. From fresh seeds on test tasks: ${spread(chosen.errors)}.`));
    frame.say(...lines);
  }

  // ---- what the figure draws ---------------------------------------------------------------------------------

  // The settings of the second round: a bar from the least to the largest error of the seeds, and a dot at the mean.
  function bars(view, role) {
    const group = kit.svg("g", { "clip-path": `url(#${view.clip})` });
    view.marks.append(group);
    return {
      draw(final, chosen) {
        group.replaceChildren(...final.flatMap((one, i) => {
          const ended = one.errors.filter((error) => error !== null), x = view.x(rateOf(one.beta)) + 7 * (final.slice(0, i).filter(({ beta }) => beta === one.beta).length + 1);
          if (ended.length === 0) return [];
          const parts = [kit.svg("line", { x1: x, x2: x, y1: view.y(Math.max(...ended)), y2: view.y(Math.min(...ended)), stroke: kit.colour(role), "stroke-width": 2 })];
          if (one.mean !== null) parts.push(kit.svg("path", { class: "mb-marker", d: kit.outline(view.made.looks[role].marker, 4.2), fill: kit.colour(role), transform: `translate(${x} ${view.y(one.mean)})` }));
          if (one.mean !== null && one.beta === chosen.beta && words(one.told) === words(chosen.told)) parts.push(kit.svg("circle", { cx: x, cy: view.y(one.mean), r: 9, fill: "none", stroke: kit.colour("text"), "stroke-width": 1.5 }));
          return parts;
        }));
      },
      show(shown) { group.style.display = shown ? "" : "none"; },
    };
  }

  function axis(view, data, now) {
    const values = [...now.found, ...now.maml].map(({ error }) => error), means = now.final.map((one) => one.mean).filter((value) => value !== null);
    const least = Math.min(...values, ...means), { marks } = data;
    const low = marks.findLast((mark) => mark <= least) ?? marks[0];
    const high = marks.find((mark) => mark >= Math.min(Math.max(...values), data.most * low)) ?? marks.at(-1);
    const ticks = marks.filter((mark) => mark >= low && mark <= high);
    Object.assign(view.options.y, { domain: [low, high], ticks });
    view.layout(view.width);
  }

  function build(frame, data) {
    const state = { ...data.first };
    const ticks = [-6, -5, -4, -3, -2, -1, 0].filter((power) => power >= data.range[0] && power <= data.range[1]);
    const view = kit.plot(frame, {
      margin: { left: 44, right: 20 }, label: "Error on validation tasks over the outer rate, with a movable rate",
      x: { domain: data.range, ticks, label: "outer rate β", text: (power) => String(Number((10 ** power).toPrecision(1))) },
      y: { log: true, domain: [0.1, 10], ticks: [], label: "error on validation tasks" }, height: (width) => Math.round(kit.clamp(width * 0.42, 240, 310)),
    });
    view.picture.classList.add("mb-tappable");
    const curves = { maml: kit.curve(view, "maml"), row: kit.curve(view, data.roles.row) };
    const dots = kit.svg("g", { "clip-path": `url(#${view.clip})` });
    view.curves.append(dots);
    const seconds = bars(view, data.roles.final);
    const stops = () => compute(data, state).rates.map(rateOf);
    const put = (change) => { Object.assign(state, change); redraw(); };
    const turn = (x) => put({ beta: compute(data, state).rates[stops().indexOf(kit.nearestStop(x, stops()))] });
    const x = { min: data.range[0], max: data.range[1], stops: stops() };
    const point = kit.handle(view, {
      role: "theta", rule: true, x, y: null, label: () => "Outer rate beta",
      at: () => ({ x: rateOf(state.beta), y: null }), value: () => ({ now: Number(rateOf(state.beta).toFixed(4)), text: `beta ${state.beta}` }), move: turn,
    });
    const rows = [...new Set(data.entries.map((entry) => entry.row))];
    const lists = {};
    const list = (name, label, change) => {
      lists[name] = kit.html("select", { "data-name": name });
      lists[name].addEventListener("change", () => change(Number(lists[name].value)));
      return kit.html("label", { class: "mb-choice" }, kit.html("span", {}, label), lists[name]);
    };
    const goTo = (entry) => put({ entry, beta: data.entries[entry].chosen[state.budget].beta });
    const ofRow = (row) => data.entries.map((entry, i) => [entry, i]).filter(([entry]) => entry.row === row);
    // The same number of inner steps, where the other row has it.
    const toRow = (place) => { const found = ofRow(rows[place]), { steps } = data.entries[state.entry]; goTo((found.find(([entry]) => entry.steps === steps) || found[0])[1]); };
    const fields = [list("row", "Algorithm", toRow), list("steps", "Inner steps", goTo)];
    const budgets = data.budgets.map((name, i) => kit.button(`Equal ${name}`, () => put({ budget: i, beta: data.entries[state.entry].chosen[i].beta }), name));
    const reset = kit.button("Reset", () => put(data.first), "reset");
    const fill = (name, options, value) => {
      lists[name].replaceChildren(...options.map(([i, words]) => kit.html("option", { value: i }, words)));
      lists[name].value = String(value);
    };

    function redraw() {
      const now = compute(data, state);
      axis(view, data, now);
      const dot = (role, { beta, error }) => kit.svg("path", { class: "mb-marker", d: kit.outline(frame.looks[role].marker, 4.2), fill: kit.colour(role), transform: `translate(${view.x(rateOf(beta))} ${kit.clamp(view.y(error), -999, 9999)})` });
      const drawn = [["maml", "maml", now.maml], ["row", data.roles.row, now.found]];
      for (const [name, , found] of drawn) curves[name].draw(found.map(({ beta }) => rateOf(beta)), found.map(({ error }) => error));
      dots.replaceChildren(...drawn.flatMap(([name, role, found]) => (shown[name] ? found.map((one) => dot(role, one)) : [])));
      seconds.draw(now.final, now.chosen);
      x.stops = now.rates.map(rateOf);
      point.place(rateOf(state.beta), null);
      fill("row", rows.map((row, i) => [i, row]), rows.indexOf(now.own.row));
      fill("steps", ofRow(now.own.row).map(([entry, i]) => [i, entry.steps === null ? "none" : String(entry.steps)]), state.entry);
      budgets.forEach((node, i) => kit.set(node, { "aria-pressed": String(i === state.budget) }));
      say(frame, data, state, now);
      frame.figure.mamlbook.values = now;
    }

    const shown = { row: true, maml: true };
    const toggle = (name) => (on) => { shown[name] = on; curves[name].show(on); redraw(); };
    frame.live.append(
      kit.legend(frame, [
        { role: data.roles.row, label: "This algorithm, one seed", toggle: toggle("row") },
        { role: "maml", label: "MAML, one seed", toggle: toggle("maml") },
        { role: data.roles.final, label: "Second round, other seeds", dot: true, toggle: (on) => seconds.show(on) },
      ]),
      view.holder, kit.html("p", { class: "mb-hint" }, "Drag β, click where it should be, or move it with the arrow keys."),
      kit.controls(...fields), kit.buttons(...budgets, reset), frame.says,
    );
    view.onTap = turn;
    frame.onWidth(redraw);
    frame.figure.mamlbook.state = state;
    frame.figure.mamlbook.redraw = redraw;
  }

  book.searches = Object.freeze({ compute });
  kit.define("searches", build);
})();
