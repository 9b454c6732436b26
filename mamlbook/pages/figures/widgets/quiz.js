// Mark all statements that are right, then see which were and why.
(function () {
  "use strict";
  const book = window.mamlbook, kit = book.kit;
  if (book.quiz) return;

  // Of each statement whether it was judged as it is, and how many were.
  function compute(statements, marked) {
    const judged = statements.map(({ right }, place) => marked.includes(place) === right);
    return { judged, number: judged.filter(Boolean).length };
  }

  function build(frame, data) {
    const { statements } = data, state = { marked: [], shown: false };
    const boxes = statements.map((_, place) => {
      const box = kit.html("input", { type: "checkbox", "data-name": `mark${place}` });
      box.addEventListener("change", () => {
        state.marked = boxes.flatMap((one, number) => (one.checked ? [number] : []));
        redraw();
      });
      return box;
    });
    const reasons = statements.map(() => kit.html("p", { class: "mb-reason" }));
    const lines = statements.map(({ words }, place) =>
      kit.html("li", {}, kit.html("label", {}, boxes[place], kit.html("span", {}, words)), reasons[place]));

    function redraw() {
      const now = compute(statements, state.marked);
      statements.forEach(({ right, why, link, place: where }, place) => {
        kit.set(lines[place], { "data-judged": state.shown ? String(now.judged[place]) : null });
        boxes[place].disabled = state.shown;
        reasons[place].hidden = !state.shown;
        if (!state.shown) return reasons[place].replaceChildren();
        const told = now.judged[place] ? "" : right ? ", and you left it out" : ", but you marked it";
        const verdict = `${now.judged[place] ? "\u2713" : "\u2717"} ${right ? "True" : "False"}${told}. `;
        reasons[place].replaceChildren(kit.html("strong", {}, verdict), `${why} `, kit.html("a", { href: link }, where));
      });
      frame.say(kit.paragraph(state.shown
        ? `You judged ${now.number} of ${statements.length} statements as they are.`
        : `${kit.plural(state.marked.length, "statement", "statements")} marked.`));
      see.hidden = state.shown;
      again.hidden = !state.shown;
      frame.figure.mamlbook.values = now;
    }

    // The button that was pressed gives way to the other one.
    function show(shown) {
      state.shown = shown;
      if (!shown) {
        state.marked = [];
        boxes.forEach((box) => { box.checked = false; });
      }
      redraw();
      (shown ? again : see).focus({ preventScroll: true });
    }

    const see = kit.button("Show what is right", () => show(true), "see");
    const again = kit.button("Once more", () => show(false), "again");
    frame.live.append(
      kit.html("fieldset", { class: "mb-quiz" }, kit.html("legend", {}, data.question), kit.html("ul", {}, ...lines)),
      frame.says, kit.buttons(see, again),
    );
    redraw();
    frame.figure.mamlbook.state = state;
    frame.figure.mamlbook.redraw = redraw;
  }

  book.quiz = Object.freeze({ compute });
  kit.define("quiz", build);
})();
