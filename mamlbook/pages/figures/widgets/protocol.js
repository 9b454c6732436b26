// How many test tasks: the difference of two rows of a table on the first n tasks, with its interval in pairs and apart.
(function () {
  "use strict";
  const book = window.mamlbook, kit = book.kit;
  if (book.protocol) return;

  const MARGIN = 0.12; // of a place on the x axis, so that no marker is cut
  const FEW = [12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.306, 2.2622];

  // The 97.5 % point of Student's distribution, as the package has it.
  function student(freedom) {
    if (freedom <= FEW.length) return FEW[freedom - 1];
    const z = 1.959964;
    return z + (z ** 3 + z) / (4 * freedom) + (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * freedom ** 2);
  }

  function interval(values) {
    const n = values.length, mean = values.reduce((sum, value) => sum + value, 0) / n;
    const spread = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1));
    return { mean, spread, half: (student(n - 1) * spread) / Math.sqrt(n) };
  }

  // The accuracy of every task in per cent, the mean over seeds, from two letters a task in base 36.
  function accuracies(row) {
    const found = [];
    for (let i = 0; i < row.right.length; i += 2) found.push((100 * parseInt(row.right.slice(i, i + 2), 36)) / row.of);
    return found;
  }

  function compute(data, { column, row, against, tasks }) {
    const { rows } = data.columns[column];
    const one = accuracies(rows[row]).slice(0, tasks), other = accuracies(rows[against]).slice(0, tasks);
    const apart = one.map((value, i) => value - other[i]);
    const [first, second, paired] = [one, other, apart].map(interval);
    const seeds = rows[row].seeds.length === rows[against].seeds.length ? rows[row].seeds.map((value, i) => value - rows[against].seeds[i]) : [];
    const needed = paired.mean === 0 ? null : Math.ceil(((1.959964 * paired.spread) / paired.mean) ** 2);
    return { first, second, paired, separate: Math.hypot(first.half, second.half), seeds: seeds.length > 1 ? interval(seeds) : null, needed };
  }

  const percent = (value) => kit.fixed(value, 1);

  function say(frame, data, state, now) {
    const { rows } = data.columns[state.column], { first, second, paired, separate, seeds, needed } = now;
    const [one, other] = [rows[state.row].name, rows[state.against].name];
    if (state.row === state.against) {
      frame.say(kit.paragraph("Choose two different rows."));
      return;
    }
    const settled = Math.abs(paired.mean) > paired.half;
    const judged = settled ? "zero lies outside, so these networks differ" : `zero lies inside; about ${needed === null ? "endlessly many" : needed.toLocaleString("en")} tasks would settle it`;
    const lines = [
      kit.paragraph(kit.html("strong", {}, `${state.tasks} tasks: `), `${one} ${percent(first.mean)} ± ${percent(first.half)} %, ${other} ${percent(second.mean)} ± ${percent(second.half)} %.`),
      kit.paragraph(`The difference is ${percent(paired.mean)}: `, kit.number(frame, `± ${percent(paired.half)} in pairs`, data.roles.paired), ", ", kit.number(frame, `± ${percent(separate)} apart`, data.roles.separate), `. In pairs ${judged}.`),
    ];
    if (seeds) lines.push(kit.aside(`Over ${rows[state.row].seeds.length} trainings of each, all tasks: ${percent(seeds.mean)} ± ${percent(seeds.half)}. More tasks do not make this interval narrower.`));
    frame.say(...lines);
  }

  function build(frame, data) {
    const first = { ...data.first, tasks: data.tasks[data.tasks.length - 1] };
    const state = { ...first };
    let now = null;
    const places = data.tasks.map((_, i) => i);
    const view = kit.plot(frame, {
      margin: { left: 44, right: 20 }, label: "Difference of two rows by the number of test tasks",
      x: { domain: [-MARGIN, places.length - 1 + MARGIN], ticks: places, label: "test tasks", text: (i) => String(data.tasks[i]) },
      y: { domain: [-10, 10], ticks: [0], label: "points of accuracy" }, height: (width) => Math.round(kit.clamp(width * 0.42, 230, 300)),
    });
    const curves = {
      mean: [kit.curve(view, data.roles.mean, { marked: 3 })],
      paired: [kit.curve(view, data.roles.paired), kit.curve(view, data.roles.paired)],
      separate: [kit.curve(view, data.roles.separate), kit.curve(view, data.roles.separate)],
    };
    const put = (change) => { Object.assign(state, change); redraw(); };
    const point = kit.handle(view, {
      role: "theta", rule: true, x: { min: 0, max: places.length - 1, stops: places }, y: null, label: () => "test tasks",
      at: () => ({ x: data.tasks.indexOf(state.tasks), y: null }), value: () => ({ now: data.tasks.indexOf(state.tasks), text: `${state.tasks} tasks` }),
      move: (x) => put({ tasks: data.tasks[x] }),
    });
    const lists = {};
    function list(name, label) {
      lists[name] = kit.html("select", { "data-name": name });
      lists[name].addEventListener("change", () => put({ [name]: Number(lists[name].value) }));
      return kit.html("label", { class: "mb-choice" }, kit.html("span", {}, label), lists[name]);
    }
    const fields = [list("row", "Row"), list("against", "Against")];
    const columns = data.columns.map((column, i) => kit.button(column.name, () => {
      const names = data.columns[state.column].rows.map((one) => one.name), rows = column.rows.map((one) => one.name);
      const same = (place, otherwise) => Math.max(otherwise, rows.indexOf(names[place]));
      put({ column: i, row: same(state.row, Math.min(1, rows.length - 1)), against: same(state.against, 0) });
    }, `column-${i}`));
    const reset = kit.button("Reset", () => put(first), "reset");

    function fill(name) {
      const options = data.columns[state.column].rows.map((one, i) => kit.html("option", { value: i }, one.name));
      lists[name].replaceChildren(...options);
      lists[name].value = String(state[name]);
    }

    function redraw() {
      const all = data.tasks.map((tasks) => compute(data, { ...state, tasks }));
      now = all[data.tasks.indexOf(state.tasks)];
      const ends = (half) => [all.map((one) => one.paired.mean - half(one)), all.map((one) => one.paired.mean + half(one))];
      const drawn = { mean: [all.map((one) => one.paired.mean)], paired: ends((one) => one.paired.half), separate: ends((one) => one.separate) };
      const values = [0, ...Object.values(drawn).flat(2)];
      const step = [1, 2, 5, 10, 20, 50].find((size) => (Math.max(...values) - Math.min(...values)) / size <= 6) || 50;
      const low = Math.floor(Math.min(...values) / step), high = Math.max(low + 1, Math.ceil(Math.max(...values) / step));
      view.options.y.domain = [low * step, high * step];
      view.options.y.ticks = Array.from({ length: high - low + 1 }, (_, i) => (low + i) * step);
      view.layout(view.width);
      for (const name in curves) curves[name].forEach((curve, i) => curve.draw(places, drawn[name][i]));
      point.place(data.tasks.indexOf(state.tasks), null);
      ["row", "against"].forEach(fill);
      columns.forEach((node, i) => kit.set(node, { "aria-pressed": String(i === state.column) }));
      say(frame, data, state, now);
      frame.figure.mamlbook.values = now;
    }

    const words = { mean: "difference", paired: "95 % interval, in pairs", separate: "95 % interval, apart" };
    const legend = Object.keys(words).map((name) => ({ role: data.roles[name], label: words[name], toggle: (on) => curves[name].forEach((curve) => curve.show(on)) }));
    frame.live.append(kit.buttons(...columns, reset), kit.legend(frame, legend), view.holder, kit.controls(...fields), frame.says);
    frame.onWidth(redraw);
    frame.figure.mamlbook.state = state;
    frame.figure.mamlbook.redraw = redraw;
  }

  book.protocol = Object.freeze({ compute, student });
  kit.define("protocol", build);
})();
