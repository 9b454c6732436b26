// Questions one after the other; each answer leads to another question or to an end with the rows to try first.
(function () {
  "use strict";
  const book = window.mamlbook, kit = book.kit;
  if (book.guide) return;

  // Where some answers lead, by their places among the answers of each question: the name of the node, and what was
  // asked and answered on the way.
  function compute(data, given) {
    let name = data.first;
    const trail = given.map((place) => {
      const { words, answers } = data.nodes[name];
      name = answers[place][1];
      return [words, answers[place][0]];
    });
    return { name, trail, end: !data.nodes[name].answers };
  }

  function build(frame, data) {
    const state = { given: [] };
    const trail = kit.html("ol", { class: "mb-list mb-trail-of-answers", "aria-label": "Your answers" });
    const choices = kit.html("div", { class: "mb-choices", role: "group", "aria-label": "Answers" });
    const found = kit.html("ul", { class: "mb-list mb-found", "aria-label": "What to try" });

    const suggestion = ([words, address, why]) =>
      kit.html("li", {}, kit.html("a", { href: address }, words), `: ${why}`);

    function redraw() {
      const now = compute(data, state.given), node = data.nodes[now.name];
      trail.replaceChildren(...now.trail.map(([asked, answered], place) => {
        const change = kit.button("change", () => go(state.given.slice(0, place)), `change${place}`);
        kit.set(change, { "aria-label": `Change the answer to: ${asked}` });
        return kit.html("li", {}, kit.html("span", {}, `${asked} `, kit.html("strong", {}, answered)), change);
      }));
      trail.hidden = !now.trail.length;
      frame.say(
        kit.html("p", { class: "mb-question" }, node.words),
        ...(node.hint ? [kit.aside(node.hint)] : []),
      );
      choices.replaceChildren(...(node.answers || []).map(([words], place) =>
        kit.button(words, () => go([...state.given, place]), `answer${place}`)));
      choices.hidden = now.end;
      found.replaceChildren(...(node.links || []).map(suggestion));
      found.hidden = !now.end;
      back.disabled = again.disabled = !state.given.length;
      frame.figure.mamlbook.values = now;
    }

    // The button that was pressed is gone: the first of the new ones takes its place under the keys.
    function go(given) {
      state.given = given;
      redraw();
      (choices.querySelector("button") || found.querySelector("a")).focus({ preventScroll: true });
    }

    const back = kit.button("Back", () => go(state.given.slice(0, -1)), "back");
    const again = kit.button("From the beginning", () => go([]), "again");
    frame.live.append(trail, frame.says, choices, found, kit.buttons(back, again));
    redraw();
    frame.figure.mamlbook.state = state;
    frame.figure.mamlbook.redraw = redraw;
  }

  book.guide = Object.freeze({ compute });
  kit.define("guide", build);
})();
