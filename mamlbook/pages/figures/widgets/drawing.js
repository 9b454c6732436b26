// The reader draws three characters and a query, and networks with different starts learn them in the page.
(function () {
  "use strict";
  const book = window.mamlbook, kit = book.kit;
  if (book.drawing) return;

  const SIDES = [28, 14, 7, 4], SIDE = SIDES[0], WAYS = 3; // three convolutions of stride 2
  const FLOOR = 1e-5; // below a variance, as in PyTorch
  const PEN = 0.8, EDGE = 1.2, LENGTH = 16, MOST_ZOOM = 2; // pixels: how Omniglot's drawings look at 28 by 28
  const MOVED = 0.02; // of a pad: how far a pointer goes before it draws over a stored drawing

  // ---- the network: parameters are flat arrays in PyTorch's order ----------------------------------------------
  // Of each of three blocks the kernels, their biases, the gains and the offsets of the norm, then the head's two.

  function half(bits) {
    const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
  }

  function decoded(text, filters) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)), view = new DataView(bytes.buffer);
    const block = (channels) => [9 * channels * filters, filters, filters, filters];
    const sizes = [...block(1), ...block(filters), ...block(filters), WAYS * filters * SIDES[3] ** 2, WAYS];
    let at = 0;
    return sizes.map((size) => Float64Array.from({ length: size }, () => half(view.getUint16(2 * at++, true))));
  }

  const known = new Map(); // decoded once
  function startOf(text, filters) {
    if (!known.has(text)) known.set(text, decoded(text, filters));
    return known.get(text);
  }

  // The nine pixels around every second one, of all channels: a row for each place that a kernel is put at.
  function patches(input, channels, side, out) {
    const found = new Float64Array(out * out * channels * 9);
    let at = 0;
    for (let y = 0; y < out; y++) for (let x = 0; x < out; x++) for (let c = 0; c < channels; c++) {
      for (let i = 2 * y - 1; i < 2 * y + 2; i++) for (let j = 2 * x - 1; j < 2 * x + 2; j++, at++) {
        if (i >= 0 && j >= 0 && i < side && j < side) found[at] = input[(c * side + i) * side + j];
      }
    }
    return found;
  }

  // The scores of a picture; what the backward pass needs stays in `layers`, and the features in `features`.
  function forward(phi, picture) {
    const filters = phi[1].length, layers = [];
    let input = picture, channels = 1;
    for (let b = 0; b < 3; b++) {
      const out = SIDES[b + 1], places = out * out, row = channels * 9, [weight, bias] = phi.slice(4 * b);
      const around = patches(input, channels, SIDES[b], out), output = new Float64Array(filters * places);
      for (let l = 0; l < places; l++) for (let f = 0; f < filters; f++) {
        let sum = bias[f];
        for (let i = 0, w = f * row, p = l * row; i < row; i++) sum += weight[w + i] * around[p + i];
        output[f * places + l] = sum;
      }
      layers.push({ around, output, ...normalised(output, places, phi[4 * b + 2], phi[4 * b + 3]) });
      input = output;
      channels = filters;
    }
    const [weight, bias] = phi.slice(12), size = input.length;
    const scores = Float64Array.from({ length: WAYS }, (_, c) => {
      let sum = bias[c];
      for (let i = 0; i < size; i++) sum += weight[c * size + i] * input[i];
      return sum;
    });
    return { layers, features: input, scores };
  }

  // Puts the outputs of one picture, in place, to mean 0 and variance 1 over all channels and pixels, and through gain,
  // offset and ReLU.
  function normalised(output, places, gain, offset) {
    const mean = output.reduce((sum, z) => sum + z, 0) / output.length;
    const scale = 1 / Math.sqrt(output.reduce((sum, z) => sum + (z - mean) ** 2, 0) / output.length + FLOOR);
    const unit = output.map((z) => (z - mean) * scale);
    for (let at = 0; at < output.length; at++) {
      const f = Math.floor(at / places);
      output[at] = Math.max(0, gain[f] * unit[at] + offset[f]);
    }
    return { unit, scale };
  }

  // The same backwards: from the derivatives by the results to those by the outputs, in place.
  function denormalised(slopes, { output, unit, scale }, places, gain, [gains, offsets]) {
    let sum = 0, along = 0;
    for (let at = 0; at < slopes.length; at++) {
      const f = Math.floor(at / places), slope = output[at] > 0 ? slopes[at] : 0;
      gains[f] += slope * unit[at];
      offsets[f] += slope;
      slopes[at] = slope * gain[f];
      sum += slopes[at];
      along += slopes[at] * unit[at];
    }
    for (let at = 0; at < slopes.length; at++) slopes[at] = scale * (slopes[at] - (sum + along * unit[at]) / slopes.length);
  }

  // Adds one picture's gradient, given the derivative of the loss by the scores. ReLU has slope 0 at 0, as in PyTorch.
  function backward(phi, gradient, { layers, features }, slope) {
    const filters = phi[1].length, size = features.length;
    let above = new Float64Array(size);
    for (let c = 0; c < WAYS; c++) {
      gradient[13][c] += slope[c];
      for (let i = 0; i < size; i++) {
        gradient[12][c * size + i] += slope[c] * features[i];
        above[i] += slope[c] * phi[12][c * size + i];
      }
    }
    for (let b = 2; b >= 0; b--) {
      const places = SIDES[b + 1] ** 2, channels = b ? filters : 1, row = channels * 9;
      const { around } = layers[b], [weight, , gain] = phi.slice(4 * b), [own, bias, ...norm] = gradient.slice(4 * b);
      denormalised(above, layers[b], places, gain, norm);
      const below = b ? new Float64Array(around.length) : null;
      for (let f = 0; f < filters; f++) for (let l = 0; l < places; l++) {
        const d = above[f * places + l];
        bias[f] += d;
        const w = f * row, p = l * row;
        for (let i = 0; i < row; i++) own[w + i] += d * around[p + i];
        if (below) for (let i = 0; i < row; i++) below[p + i] += d * weight[w + i];
      }
      if (below) above = gathered(below, channels, SIDES[b], SIDES[b + 1]);
    }
  }

  // What all patches say about each pixel, the reverse of `patches`.
  function gathered(rows, channels, side, out) {
    const found = new Float64Array(channels * side * side);
    let at = 0;
    for (let y = 0; y < out; y++) for (let x = 0; x < out; x++) for (let c = 0; c < channels; c++) {
      for (let i = 2 * y - 1; i < 2 * y + 2; i++) for (let j = 2 * x - 1; j < 2 * x + 2; j++, at++) {
        if (i >= 0 && j >= 0 && i < side && j < side) found[(c * side + i) * side + j] += rows[at];
      }
    }
    return found;
  }

  function softmax(scores) {
    const most = Math.max(...scores), parts = Array.from(scores, (score) => Math.exp(score - most));
    const sum = parts.reduce((a, b) => a + b, 0);
    return parts.map((part) => part / sum);
  }

  // One step of gradient descent on the mean cross-entropy of the support, [picture, label] each, in place.
  function descend(phi, support, alpha) {
    const gradient = phi.map((array) => new Float64Array(array.length));
    for (const [picture, label] of support) {
      const tape = forward(phi, picture);
      backward(phi, gradient, tape, softmax(tape.scores).map((p, c) => (p - (c === label)) / support.length));
    }
    phi.forEach((array, k) => { for (let i = 0; i < array.length; i++) array[i] -= alpha * gradient[k][i]; });
  }

  // The query's probabilities after 0, 1, ..., S steps.
  function adapted(start, support, query, alpha, steps) {
    const phi = start.map((array) => array.slice()), found = [];
    for (let s = 0; s <= steps; s++) {
      if (s) descend(phi, support, alpha);
      found.push(softmax(forward(phi, query).scores));
    }
    return found;
  }

  // The same by squared distances to the mean features of each character, which no step changes.
  function compared(start, support, query, steps) {
    const features = (picture) => forward(start, picture).features, own = features(query), scores = [];
    for (let c = 0; c < WAYS; c++) {
      const of = support.filter(([, label]) => label === c).map(([picture]) => features(picture));
      scores.push(-own.reduce((sum, value, i) => sum + (value - of.reduce((all, one) => all + one[i], 0) / of.length) ** 2, 0));
    }
    return Array.from({ length: steps + 1 }, () => softmax(scores));
  }

  // Every method's probabilities of a query; support is [picture, label] each.
  function learn(data, support, query) {
    const found = {};
    for (const [name, text] of Object.entries(data.starts)) {
      const start = startOf(text, data.filters);
      found[name] = name === "prototypes" ? compared(start, support, query, data.steps) : adapted(start, support, query, data.rates[name], data.steps);
    }
    return found;
  }

  // ---- from a drawing to a picture -----------------------------------------------------------------------------

  // Strokes, lists of [x, y] from 0 to 1, as 28 by 28 pixels: centred, of the size and with the pen of Omniglot.
  function drawn(strokes) {
    const points = strokes.flat(), ends = [0, 1].map((axis) => [Math.min(...points.map((p) => p[axis])), Math.max(...points.map((p) => p[axis]))]);
    const longest = Math.max(...ends.map(([low, high]) => high - low)) * SIDE;
    const zoom = SIDE * Math.min(LENGTH / Math.max(longest, 1e-9), MOST_ZOOM), middle = (SIDE - 1) / 2;
    const placed = (p) => p.map((value, axis) => middle + zoom * (value - (ends[axis][0] + ends[axis][1]) / 2));
    const near = new Float64Array(SIDE * SIDE).fill(Infinity);
    for (const stroke of strokes) {
      const line = stroke.map(placed);
      line.forEach((from, i) => { if (i || line.length === 1) approach(near, line[Math.max(0, i - 1)], from); });
    }
    return near.map((distance) => kit.clamp((PEN - distance) / EDGE + 0.5, 0, 1));
  }

  // Lowers the distance of every pixel to what it is to a piece of a line.
  function approach(near, [x0, y0], [x1, y1]) {
    const dx = x1 - x0, dy = y1 - y0, length = dx * dx + dy * dy;
    for (let y = 0, at = 0; y < SIDE; y++) for (let x = 0; x < SIDE; x++, at++) {
      const along = length ? kit.clamp(((x - x0) * dx + (y - y0) * dy) / length, 0, 1) : 0;
      near[at] = Math.min(near[at], Math.hypot(x - x0 - along * dx, y - y0 - along * dy));
    }
  }

  const stored = (digits) => Float64Array.from(digits, (digit) => parseInt(digit, 16) / 15);

  // What the networks see of a pad, or null where nothing is drawn.
  function pictureOf({ drawings }, { strokes, example }) {
    if (example) return stored(drawings[example[0]][example[1]]);
    return strokes.length ? drawn(strokes) : null;
  }

  // ---- the state -----------------------------------------------------------------------------------------------

  const QUERY = "query";
  // The second drawing of each character comes right behind the first, so that two columns keep them together.
  const PLACES = [0, 1, 2].flatMap((c) => [0, 1].map((k) => ({ name: `${c + 1}${"ab"[k]}`, c, k }))).concat({ name: QUERY, c: null, k: 0 });
  const labelOf = ({ c, k }) => (c === null ? "Query" : k ? `Character ${c + 1} again` : `Character ${c + 1}`);
  const inUse = (place, state) => place.k < state.shots;
  const blank = () => ({ strokes: [], example: null, past: [] });

  function begun({ step, query }) {
    const example = ({ c, k }) => (c === null ? [0, query] : [c, k]);
    return { step, shots: 1, meant: 0, pads: Object.fromEntries(PLACES.map((place) => [place.name, { ...blank(), example: example(place) }])) };
  }

  // Every method's probabilities, or the labels of the pads that have to be drawn first.
  function compute(data, state) {
    const used = PLACES.filter((place) => inUse(place, state)).map((place) => ({ place, picture: pictureOf(data, state.pads[place.name]) }));
    const missing = used.filter(({ picture }) => !picture).map(({ place }) => labelOf(place));
    if (missing.length) return { missing, found: null };
    const support = used.filter(({ place }) => place.c !== null).map(({ place, picture }) => [picture, place.c]);
    return { missing, found: learn(data, support, used.at(-1).picture) };
  }

  // ---- a pad ---------------------------------------------------------------------------------------------------

  const OPEN = { fill: "none", stroke: "currentColor", "stroke-width": 1.6, "stroke-linecap": "round", "stroke-linejoin": "round" };

  function pixels(picture) {
    const nodes = [];
    if (picture) picture.forEach((ink, at) => {
      if (ink > 0.02) nodes.push(kit.svg("rect", { x: at % SIDE, y: Math.floor(at / SIDE), width: 1.02, height: 1.02, fill: "currentColor", "fill-opacity": ink.toFixed(2) }));
    });
    return nodes;
  }

  const line = (stroke) => kit.svg("path", { ...OPEN, d: stroke.map(([x, y], i) => `${i ? "L" : "M"}${(SIDE * x).toFixed(2)} ${(SIDE * y).toFixed(2)}`).join("") + (stroke.length === 1 ? "h0.01" : "") });
  const sheet = (attributes) => kit.svg("svg", { viewBox: `0 0 ${SIDE} ${SIDE}`, "aria-hidden": "true", ...attributes });

  // One pad with its buttons. pad() is its state, changed() is called after every change of it.
  function makePad(data, place, hint, pad, changed) {
    const label = labelOf(place), examples = data.drawings.flatMap((all, c) => all.map((_, d) => [c, d]));
    const area = sheet({}), seen = sheet({ class: "mb-seen" }), empty = kit.html("span", { class: "mb-empty", "aria-hidden": "true" }, "draw here");
    const node = kit.html("div", {
      class: "mb-pad", tabindex: 0, role: "spinbutton", "aria-label": label, "aria-describedby": hint,
      "aria-valuemin": 0, "aria-valuemax": examples.length, "data-name": `pad-${place.name}`,
    }, area, empty);
    const exampleAt = () => examples.findIndex(([c, d]) => pad().example && c === pad().example[0] && d === pad().example[1]);

    function put(next) {
      const { past, strokes, example } = pad();
      Object.assign(pad(), { strokes: [], example: null, ...next, past: [...past, { strokes, example }] });
      changed();
    }
    const show = (number) => put({ example: examples[(number + examples.length) % examples.length] });
    const clear = () => { if (pad().strokes.length || pad().example) put({}); };
    function undo() {
      const before = pad().past.at(-1);
      if (before) Object.assign(pad(), before, { past: pad().past.slice(0, -1) });
      changed();
    }

    listen(node, area, { over: () => pad().example, draw, done: (stroke) => put({ strokes: [...pad().strokes, stroke] }) });
    node.addEventListener("keydown", (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
      const at = exampleAt(), last = examples.length - 1;
      const acts = {
        ArrowUp: () => show(at + 1), ArrowRight: () => show(at + 1), Home: () => show(0), End: () => show(last),
        ArrowDown: () => show(at < 0 ? last : at - 1), ArrowLeft: () => show(at < 0 ? last : at - 1), Backspace: undo, Delete: clear,
      };
      if (!acts[event.key]) return;
      event.preventDefault();
      acts[event.key]();
    });

    const act = (word, click) => kit.set(kit.button(word, click, `${word.toLowerCase()}-${place.name}`), { "aria-label": `${word}: ${label}` });
    const buttons = [act("Undo", undo), act("Clear", clear), act("Example", () => show(exampleAt() + 1))];
    const card = kit.html("div", { class: "mb-pad-card" }, kit.html("div", { class: "mb-pad-head" }, kit.html("span", {}, label), seen), node, kit.buttons(...buttons));

    // The pad with a stroke that is not finished yet, if there is one.
    function draw(open) {
      const { strokes, example } = pad(), shown = example && !open ? pixels(pictureOf(data, pad())) : [...strokes, ...(open ? [open] : [])].map(line);
      area.replaceChildren(...shown);
      empty.hidden = shown.length > 0;
    }

    return {
      place, card,
      draw() {
        draw(null);
        seen.replaceChildren(...pixels(pictureOf(data, pad())));
        const { strokes, example } = pad();
        const words = example ? `stored drawing ${example[1] + 1} of character ${example[0] + 1}` : strokes.length ? `your drawing, ${kit.plural(strokes.length, "stroke", "strokes")}` : "empty";
        kit.set(node, { "aria-valuenow": exampleAt() + 1, "aria-valuetext": words });
      },
    };
  }

  // Strokes by mouse, pen or finger. Over a stored drawing a mere tap draws nothing.
  function listen(node, area, { over, draw, done }) {
    let open = null, held = null;
    const at = (event) => {
      const box = area.getBoundingClientRect();
      return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height].map((value) => Number(kit.clamp(value, 0, 1).toFixed(4)));
    };
    const far = ([x, y], [u, v], least) => Math.hypot(x - u, y - v) > least;
    node.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !event.isPrimary) return;
      event.preventDefault(); // no selection, no scrolling, no mouse event of its own
      node.focus({ preventScroll: true });
      node.setPointerCapture(event.pointerId);
      held = event.pointerId;
      open = [at(event)];
      if (!over()) draw(open);
    });
    node.addEventListener("pointermove", (event) => {
      if (event.pointerId !== held) return;
      const events = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
      for (const one of events.length ? events : [event]) if (far(at(one), open.at(-1), MOVED / 2)) open.push(at(one));
      if (!over() || open.some((point) => far(point, open[0], MOVED))) draw(open);
    });
    const finish = (event) => {
      if (event.pointerId !== held) return;
      const stroke = open;
      held = open = null;
      if (over() && !stroke.some((point) => far(point, stroke[0], MOVED))) draw(null);
      else done(stroke);
    };
    node.addEventListener("pointerup", finish);
    node.addEventListener("pointercancel", finish);
  }

  // ---- what the methods say ------------------------------------------------------------------------------------

  const percent = (share) => (Number.isFinite(share) ? `${Math.round(100 * share)}%` : "no number");
  const best = (row) => row.indexOf(Math.max(...row));

  function makeTable(frame, data) {
    const cells = {}, rows = Object.entries(data.names).map(([name, words]) => {
      cells[name] = Array.from({ length: WAYS }, () => kit.html("td", {}, kit.html("span", { class: "mb-share" })));
      return kit.html("tr", {}, kit.html("th", { scope: "row" }, kit.key(frame.looks, data.roles[name], true), ` ${words}`), ...cells[name]);
    });
    const heads = ["Method", "1", "2", "3"].map((words, i) => kit.html("th", { scope: "col" }, i ? `Character ${words}` : words));
    const node = kit.html("table", { class: "mb-odds" }, kit.html("caption", {}), kit.html("thead", {}, kit.html("tr", {}, ...heads)), kit.html("tbody", {}, ...rows));
    return {
      node,
      draw(found, step) {
        node.querySelector("caption").textContent = `What the query is, after ${kit.plural(step, "inner step", "inner steps")}`;
        for (const [name, own] of Object.entries(cells)) own.forEach((cell, c) => {
          const row = found && found[name][step];
          cell.firstChild.textContent = row ? percent(row[c]) : "\u2013";
          cell.style.setProperty("--mb-part", row && Number.isFinite(row[c]) ? `${(100 * row[c]).toFixed(1)}%` : "0%");
          cell.style.setProperty("--mb-bar", kit.colour(data.roles[name]));
          kit.set(cell, { "data-best": row && best(row) === c ? "" : null });
        });
      },
    };
  }

  function say(frame, data, state, { missing, found }) {
    if (!found) {
      frame.say(kit.paragraph(`Still empty: ${missing.join(", ")}. Draw there, or press Example for a stored drawing.`));
      return;
    }
    const parts = Object.entries(found).flatMap(([name, rows], i) => {
      const row = rows[state.step], c = best(row);
      const words = c < 0 ? "no longer a number" : `${c + 1} (${percent(row[c])})`;
      return [i ? ", " : "", `${data.names[name]} `, kit.number(frame, words, data.roles[name])];
    });
    frame.say(kit.paragraph(`After ${kit.plural(state.step, "inner step", "inner steps")} the query is taken for character: `, ...parts, "."));
  }

  // ---- the figure ----------------------------------------------------------------------------------------------

  function build(frame, data) {
    const state = begun(data.first), steps = Array.from({ length: data.steps + 1 }, (_, s) => s);
    const hint = kit.html("p", { class: "mb-hint", id: `${frame.says.id}-hint` },
      "Draw with a finger, a pen or the mouse; Example puts in a stored drawing. On a keyboard, arrows go through those, Backspace undoes and Delete clears.");
    const view = kit.plot(frame, {
      margin: { left: 44 }, x: { domain: [-0.2, data.steps + 0.2], ticks: steps, label: "inner steps" },
      y: { domain: [-0.02, 1.02], ticks: [0, 0.25, 0.5, 0.75, 1], label: "probability of what the query is meant to be" },
      height: (width) => Math.round(kit.clamp(width * 0.4, 210, 270)), label: "Probability of the right character over inner steps",
    });
    view.picture.classList.add("mb-tappable");
    const names = Object.keys(data.starts), curves = {};
    for (const name of names.slice().reverse()) curves[name] = kit.curve(view, data.roles[name], { marked: steps.length });
    let now = null;

    function change(what) {
      Object.assign(state, what);
      redraw();
    }
    function learned() {
      now = compute(data, state);
      redraw();
    }
    // A stored drawing that becomes the query says itself what it is meant to be.
    function changed(place) {
      const { example } = state.pads[place.name];
      if (place.name === QUERY && example) state.meant = example[0];
      learned();
    }

    const pads = PLACES.map((place) => makePad(data, place, hint.id, () => state.pads[place.name], () => changed(place)));
    const table = makeTable(frame, data);
    const slider = kit.slider({ label: "Inner steps", name: "step", min: 0, max: data.steps, value: state.step, change: (step) => change({ step }) });
    const toStep = (x) => change({ step: kit.nearestStop(x, steps) });
    // The slider is this rule's access by keyboard.
    const cut = kit.handle(view, { role: "theta", rule: true, x: { min: 0, max: data.steps, stops: steps }, y: null, mirror: { node: slider.node.querySelector("input") }, move: toStep });
    view.onTap = toStep;
    const meant = Array.from({ length: WAYS }, (_, c) => kit.set(kit.button(String(c + 1), () => change({ meant: c }), `meant-${c + 1}`), { "aria-label": `The query is meant to be character ${c + 1}` }));
    const twice = kit.button("Two drawings of each", () => { state.shots = 3 - state.shots; learned(); }, "twice");

    function redraw() {
      for (const pad of pads) {
        pad.card.hidden = !inUse(pad.place, state);
        pad.draw();
      }
      for (const name of names) curves[name].draw(steps, now.found ? now.found[name].map((row) => (Number.isFinite(row[state.meant]) ? row[state.meant] : null)) : steps.map(() => null));
      table.draw(now.found, state.step);
      cut.place(state.step, null);
      slider.put(state.step);
      meant.forEach((node, c) => kit.set(node, { "aria-pressed": String(c === state.meant) }));
      kit.set(twice, { "aria-pressed": String(state.shots === 2) });
      say(frame, data, state, now);
      frame.figure.mamlbook.values = now;
    }

    const fresh = (made) => { Object.assign(state, made); learned(); };
    frame.live.append(
      hint,
      kit.html("div", { class: "mb-pads" }, ...pads.map((pad) => pad.card)),
      kit.buttons(twice, kit.button("Clear all", () => fresh({ pads: Object.fromEntries(PLACES.map(({ name }) => [name, blank()])) }), "clear"), kit.button("Reset", () => fresh(begun(data.first)), "reset")),
      frame.says,
      kit.controls(slider.node),
      table.node,
      kit.html("div", { class: "mb-meant", role: "group", "aria-label": "What the query is meant to be" }, kit.html("span", {}, "The query is meant to be character"), kit.buttons(...meant)),
      kit.legend(frame, names.map((name) => ({ role: data.roles[name], label: data.names[name], toggle: (shown) => curves[name].show(shown) }))),
      view.holder,
    );
    now = compute(data, state);
    frame.onWidth(redraw);
    frame.figure.mamlbook.state = state;
    frame.figure.mamlbook.redraw = redraw;
  }

  book.drawing = Object.freeze({ compute, drawn, learn });
  kit.define("drawing", build);
})();
