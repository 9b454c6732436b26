// The table of all algorithms: its rows sorted by a column, filtered by words and by factor, and what was measured.
(function () {
  "use strict";
  const book = window.mamlbook, kit = book.kit;
  if (book.comparison) return;

  const NOTHING = ["\u2013", null, "\u2013", null, "open"];

  // The places of the rows to show, in order: those that have all words and the factor, by the key of a column;
  // what has no number comes last either way.
  function compute(data, { words, factor, view, column, descending }) {
    const { cells } = data.views[view];
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
    const key = (row) => {
      if (column === "error") return (cells[row.name] || NOTHING)[1];
      if (column === "apart") return (cells[row.name] || NOTHING)[3];
      if (column === "changes") return row.factor;
      return row[column];
    };
    const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b);
    const shown = data.rows.map((row, place) => place).filter((place) => {
      const row = data.rows[place];
      return (factor === "" || row.factor === factor) && wanted.every((word) => row.words.toLowerCase().includes(word));
    });
    if (!column) return shown;
    return shown.sort((a, b) => {
      const [one, other] = [key(data.rows[a]), key(data.rows[b])];
      if (one === null || other === null) return (one === null) - (other === null) || a - b;
      return (descending ? -1 : 1) * compare(one, other) || a - b;
    });
  }

  function field(label, control) {
    return kit.html("label", { class: "mb-field" }, kit.html("span", {}, label), control);
  }

  function choice(name, options, change) {
    const made = kit.html("select", { "data-name": name }, ...options.map(([value, words]) => kit.html("option", { value }, words)));
    made.addEventListener("change", () => change(made.value));
    return made;
  }

  function build(frame, data) {
    const state = { words: "", factor: "", view: 0, column: null, descending: false };
    const table = frame.figure.querySelector(".mb-table"), body = table.tBodies[0], lines = [...body.rows];

    const all = kit.button("Show all", () => { table.dataset.all = ""; all.hidden = true; }, "all"); // on a phone, see the style sheet
    all.classList.add("mb-more");
    table.after(all);

    function redraw() {
      const order = compute(data, state), { cells } = data.views[state.view];
      lines.forEach((line, place) => {
        const [error, , apart, , side] = cells[data.rows[place].name] || NOTHING;
        line.querySelector('[data-cell="error"]').textContent = error;
        kit.set(line.querySelector('[data-cell="apart"]'), { "data-side": side }).textContent = apart;
      });
      body.replaceChildren(...order.map((place) => lines[place]));
      heads.forEach((head) => {
        const sorted = head.dataset.column === state.column;
        kit.set(head, { "aria-sort": sorted ? (state.descending ? "descending" : "ascending") : null });
      });
      all.textContent = `Show all ${order.length}`;
      frame.say(kit.aside(`${order.length} of ${data.rows.length} algorithms.`));
      frame.figure.mamlbook.values = order;
    }

    // A click sorts up, a second one down, a third one gives the order of the book back.
    function sort(column) {
      const again = state.column === column;
      state.column = again && state.descending ? null : column;
      state.descending = again && !state.descending;
      redraw();
    }

    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head) => {
      const button = kit.html("button", { type: "button", "data-name": `sort-${head.dataset.column}` }, head.textContent);
      button.addEventListener("click", () => sort(head.dataset.column));
      head.replaceChildren(button);
    });
    const search = kit.html("input", { type: "search", "data-name": "words", placeholder: "memory flat, head, ..." });
    search.addEventListener("input", () => { state.words = search.value; redraw(); });
    const factors = [...new Set(data.rows.map((row) => row.factor))];
    frame.live.append(
      kit.controls(
        field("Words", search),
        field("Factor that changes", choice("factor", [["", "all"], ...factors.map((name) => [name, name])], (value) => { state.factor = value; redraw(); })),
        field("Measured with", choice("view", data.views.map(({ label }, place) => [place, label]), (value) => { state.view = Number(value); redraw(); })),
      ),
      frame.says,
    );
    redraw();
    frame.figure.mamlbook.state = state;
    frame.figure.mamlbook.redraw = redraw;
  }

  book.comparison = Object.freeze({ compute });
  kit.define("comparison", build);
})();
