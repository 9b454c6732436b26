// A network and an algorithm: is the meta-gradient exact, or what does the package say, and what helps?
(function () {
  "use strict";
  const book = window.mamlbook, kit = book.kit;
  if (book.verdicts) return;

  // What became of a network under a row, both by their places; and how its other rows fare.
  function compute(data, { network, row }) {
    const { cells, option, needing } = data.networks[network], found = cells[row];
    const exact = cells.filter((cell) => !Array.isArray(cell)).length;
    const counts = { exact, refused: cells.length - exact };
    if (Array.isArray(found)) {
      const [said, cure] = data.sentences[found[0]];
      return { verdict: "refused", error: null, said, cure, counts };
    }
    const needs = option && needing.includes(row);
    return { verdict: needs ? "option" : "exact", error: found, said: null, cure: needs ? option : null, counts };
  }

  // The place of the next cell that is not simply exact, in reading order; the first one after the last.
  function next(data, { network, row }) {
    const width = data.rows.length, size = width * data.networks.length;
    for (let step = 1; step <= size; step += 1) {
      const place = (network * width + row + step) % size;
      const at = { network: Math.floor(place / width), row: place % width };
      if (compute(data, at).verdict !== "exact") return at;
    }
    return { network, row };
  }

  const power = (error) => (error === 0 ? "0" : `10${superscript(Math.floor(Math.log10(error)))}`);
  const superscript = (n) => kit.minus(String(n)).replace(/./g, (c) => ({ "\u2212": "\u207b" })[c] || "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"[c]);

  function choice(label, name, options, change) {
    const made = kit.html("select", { "data-name": name }, ...options);
    made.addEventListener("change", () => change(Number(made.value)));
    return { made, node: kit.html("label", { class: "mb-field" }, kit.html("span", {}, label), made) };
  }

  const option = (value, words) => kit.html("option", { value }, words);

  // The networks of one kind stand together in the list.
  function grouped(networks) {
    const kinds = [...new Set(networks.map(({ kind }) => kind))];
    return kinds.map((kind) => kit.html("optgroup", { label: kind },
      ...networks.flatMap((one, place) => (one.kind === kind ? [option(place, one.name)] : []))));
  }

  function words(data, state, now) {
    const { name, about } = data.networks[state.network], row = data.rows[state.row];
    const head = kit.html("p", { class: "mb-verdict", "data-verdict": now.verdict },
      kit.html("strong", {}, { exact: "exact", option: "exact, with an option", refused: "refused" }[now.verdict]),
      `: ${name} under ${row}`);
    const lines = [head, kit.aside(`${about}.`)];
    if (now.verdict !== "refused") lines.push(kit.paragraph(`The package and plain loops differ by ${power(now.error)}, relative.`));
    if (now.verdict === "option") lines.push(kit.paragraph(kit.html("strong", {}, "The option: "), kit.html("code", {}, now.cure)));
    if (now.said) lines.push(kit.html("p", { class: "mb-sentence" }, now.said));
    if (now.verdict === "refused") lines.push(kit.paragraph(kit.html("strong", {}, "Cure: "), `${now.cure}.`));
    lines.push(kit.aside(`All rows on this network: ${now.counts.exact} exact, ${now.counts.refused} refused.`));
    return lines;
  }

  function build(frame, data) {
    const state = { ...data.first };

    function redraw() {
      const now = compute(data, state);
      network.made.value = state.network;
      row.made.value = state.row;
      frame.say(...words(data, state, now));
      frame.figure.mamlbook.values = now;
    }

    function go(change) {
      Object.assign(state, change);
      redraw();
    }

    const network = choice("Network", "network", grouped(data.networks), (place) => go({ network: place }));
    const row = choice("Algorithm", "row", data.rows.map((name, place) => option(place, name)), (place) => go({ row: place }));
    frame.live.append(
      kit.controls(network.node, row.node), frame.says,
      kit.buttons(
        kit.button("Next that is not simply exact", () => go(next(data, state)), "next"),
        kit.button("Reset", () => go(data.first), "reset"),
      ),
    );
    redraw();
    frame.figure.mamlbook.state = state;
    frame.figure.mamlbook.redraw = redraw;
  }

  book.verdicts = Object.freeze({ compute, next });
  kit.define("verdicts", build);
})();
