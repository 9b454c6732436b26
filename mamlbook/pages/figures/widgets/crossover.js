// Would a GPU be faster: the model's time, the largest of launching, moving and computing, beside measured ones.
(function () {
  "use strict";
  const book = window.mamlbook, kit = book.kit;
  if (book.crossover) return;

  const MARGIN = 0.12; // of a place on the x axis, so that no marker is cut

  // Milliseconds of one row: what each of the three would take alone, and the largest of them.
  function model(row, way, { launch, bandwidth, rate }) {
    const parts = { launching: (row.kernels[way] * launch) / 1e3, moving: row.bytes / bandwidth / 1e6, computing: row.operations / rate / 1e9 };
    const decides = Object.keys(parts).reduce((best, name) => (parts[name] > parts[best] ? name : best));
    return { ...parts, decides, total: parts[decides] };
  }

  function compute(data, state) {
    const speed = { launch: state.launch[state.way], bandwidth: state.bandwidth, rate: state.rate };
    const rows = data.rows[state.axis].filter((row) => state.way in row.kernels);
    const times = rows.map((row) => model(row, state.way, speed));
    const of = (where) => rows.map((row) => (state.way in row[where] ? row[where][state.way] : null));
    const cpu = of("cpu"), ahead = times.map((time, i) => cpu[i] !== null && time.total < cpu[i]);
    const behind = ahead.lastIndexOf(false);
    return { rows, times, cpu, gpu: of("gpu"), from: behind + 1 < rows.length ? rows[behind + 1][state.axis] : null };
  }

  const scaled = (value, units) => {
    let i = 0;
    while (value >= 999.5 && i < units.length - 1) { value /= 1000; i++; }
    return `${value.toPrecision(3)} ${units[i]}`;
  };
  const time = (ms) => scaled(ms * 1e6, ["ns", "µs", "ms", "s"]);
  const whole = (value) => value.toLocaleString("en");

  function say(frame, data, state, now, i) {
    const row = now.rows[i], spent = now.times[i], cpu = now.cpu[i], gpu = now.gpu[i];
    const sizes = `${kit.plural(row.tasks, "task", "tasks")}, width ${row.width}, ${kit.plural(row.steps, "step", "steps")}`;
    const first = kit.paragraph(kit.html("strong", {}, `${sizes}: `), kit.number(frame, `${whole(row.kernels[state.way])} kernels`), ", ",
      `${scaled(row.operations, ["operations", "thousand operations", "million operations", "billion operations"])}, `,
      `${scaled(row.bytes, ["bytes", "kB", "MB", "GB"])} moved.`);
    const second = kit.paragraph(`On the GPU launching takes ${time(spent.launching)}, moving ${time(spent.moving)} and computing ${time(spent.computing)}: `,
      kit.number(frame, time(spent.total), data.roles.model), ", and ", kit.html("strong", {}, spent.decides), " decides.");
    const third = kit.paragraph();
    if (cpu === null) third.append("The processor was not timed here.");
    else third.append("The processor took ", kit.number(frame, time(cpu), data.roles.cpu), cpu > spent.total ? `, ${(cpu / spent.total).toPrecision(2)} times as long.` : `, the GPU ${(spent.total / cpu).toPrecision(2)} times as long.`);
    const word = { tasks: "tasks", width: "units", steps: "steps" }[state.axis];
    const crossing = now.from === null ? "The model's GPU is not ahead at the end of this axis." : now.from === now.rows[0][state.axis] ? "The model's GPU is ahead all along this axis." : `The model's GPU is ahead from ${now.from} ${word} on.`;
    const real = data.gpu === null ? "No GPU has been measured yet." : gpu === null ? `${data.gpu} was not timed here.` : `${data.gpu} took ${time(gpu)}.`;
    frame.say(first, second, third, kit.aside(`${crossing} ${real}`));
  }

  function build(frame, data) {
    const { chosen } = data;
    const state = { ...data.first, launch: { ...chosen.launch }, bandwidth: chosen.bandwidth, rate: chosen.rate, at: null };
    let now = compute(data, state);
    const view = kit.plot(frame, {
      margin: { left: 52, right: 20 }, label: "Milliseconds of a meta-step",
      x: { domain: [0, 1], ticks: [], label: "", text: (i) => String(now.rows[i][state.axis]) },
      y: { domain: [1, 10], ticks: [], label: "milliseconds", log: true }, height: (width) => Math.round(kit.clamp(width * 0.42, 230, 300)),
    });
    const names = data.gpu === null ? ["cpu", "model"] : ["cpu", "model", "gpu"];
    const curves = Object.fromEntries(names.map((name) => [name, kit.curve(view, data.roles[name], { marked: 3 })]));
    const put = (change) => { Object.assign(state, change); redraw(); };
    const across = { min: 0, max: 1, stops: [0, 1] };
    const point = kit.handle(view, {
      role: "theta", rule: true, x: across, y: null, label: () => data.axes[state.axis],
      at: () => ({ x: state.at, y: null }), value: () => ({ now: state.at, text: `${now.rows[state.at][state.axis]} ${state.axis}` }),
      move: (x) => put({ at: x }),
    });
    const stops = { launch: data.launches, bandwidth: data.bandwidths, rate: data.rates };
    const slide = (name, label, unit, get, set) => kit.slider({
      label, name, min: 0, max: stops[name].length - 1, value: stops[name].indexOf(get()),
      format: (i) => `${stops[name][i]} ${unit}`, change: (i) => { set(stops[name][i]); redraw(); },
    });
    const sliders = {
      launch: slide("launch", "A kernel to launch", "µs", () => state.launch[state.way], (value) => { state.launch[state.way] = value; }),
      bandwidth: slide("bandwidth", "Bandwidth", "GB/s", () => state.bandwidth, (value) => { state.bandwidth = value; }),
      rate: slide("rate", "Rate", "TFLOP/s", () => state.rate, (value) => { state.rate = value; }),
    };
    const choice = (words, key, change) => Object.keys(words).map((name) => kit.button(words[name], () => put(change(name)), `${key}-${name}`));
    const ways = choice(data.ways, "way", (way) => ({ way, at: null }));
    const axes = choice(data.axes, "axis", (axis) => ({ axis, at: null }));

    function redraw() {
      now = compute(data, state);
      const last = now.rows.length - 1, totals = now.times.map((one) => one.total);
      // Where all three axes cross, until the reader moves the point.
      if (state.at === null) state.at = Math.max(0, now.rows.findIndex((row) => Object.keys(data.axes).every((axis) => row[axis] === data.base[axis])));
      across.stops = now.rows.map((_, i) => i);
      across.max = last;
      const values = [...totals, ...now.cpu, ...now.gpu].filter((value) => value !== null);
      const low = Math.floor(Math.log10(Math.min(...values))), high = Math.ceil(Math.log10(Math.max(...values)));
      view.options.x.domain = [-MARGIN, last + MARGIN];
      view.options.x.ticks = now.rows.map((_, i) => i);
      view.options.x.label = data.axes[state.axis];
      view.options.y.domain = [10 ** low, 10 ** Math.max(high, low + 1)];
      view.options.y.ticks = Array.from({ length: Math.max(high, low + 1) - low + 1 }, (_, i) => Number((10 ** (low + i)).toPrecision(1)));
      view.layout(view.width);
      const drawn = { cpu: now.cpu, model: totals, gpu: now.gpu };
      for (const name of names) curves[name].draw(view.options.x.ticks, drawn[name]);
      point.place(state.at, null);
      sliders.launch.put(stops.launch.indexOf(state.launch[state.way]));
      for (const [nodes, words, value] of [[ways, data.ways, state.way], [axes, data.axes, state.axis]]) {
        nodes.forEach((node, i) => kit.set(node, { "aria-pressed": String(Object.keys(words)[i] === value) }));
      }
      say(frame, data, state, now, state.at);
      frame.figure.mamlbook.values = { ...now, model: now.times[state.at] };
    }

    const words = { cpu: "processor, measured", model: "GPU, by the model", gpu: "GPU, measured" };
    const legend = names.map((name) => ({ role: data.roles[name], label: words[name], toggle: (on) => curves[name].show(on) }));
    frame.live.append(
      kit.buttons(...ways), kit.buttons(...axes), kit.legend(frame, legend), view.holder,
      kit.controls(...Object.values(sliders).map((one) => one.node)), frame.says,
    );
    frame.onWidth(redraw);
    frame.figure.mamlbook.state = state;
    frame.figure.mamlbook.redraw = redraw;
  }

  book.crossover = Object.freeze({ compute, model });
  kit.define("crossover", build);
})();
