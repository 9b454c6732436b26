// What is wrong with this training? Its loss and its error on new tasks beside those of a healthy one, and a guess.
(function () {
  "use strict";
  const book = window.mamlbook, kit = book.kit;
  if (book.diagnosis) return;

  const TOP = 100; // of the lower picture

  // What a guess is answered: whether it is right, and the words for it; and whether all errors lie `above` the
  // picture. `cases` as Python hands them over.
  function compute(cases, { patient, guess }) {
    const { name, cause, cure, error } = cases[patient];
    const guessed = cases.find((one) => one.name === guess);
    const above = error.every((value) => value === null || value > TOP);
    if (!guessed) return { right: null, name, above, answer: null };
    const right = guess === name;
    return { right, name, above, answer: right ? `${cause} Cure: ${cure}` : `It would look different: ${guessed.symptom}` };
  }

  function say(frame, state, now, number) {
    const where = now.above ? " Its error on new tasks lies above the picture." : "";
    const patient = `Training ${state.patient + 1} of ${number}.${where} `;
    if (now.right === null) return frame.say(kit.paragraph(patient, "One thing is wrong with it. Which?"));
    const verdict = kit.html("strong", {}, now.right ? "Yes: " : "No: ");
    frame.say(kit.paragraph(patient, verdict, `${state.guess}. `, now.answer));
  }

  function build(frame, data) {
    const { cases, healthy } = data, state = { ...data.first };
    const plot = (height, label, x, y) => kit.plot(frame, {
      margin: { left: 44 }, x, y: { ...y, log: true }, label,
      height: (width) => Math.round(kit.clamp(width * height, 190, 260)),
    });
    const training = plot(0.34, "Query loss over the meta-steps of a training",
      { domain: [0, data.iterations], ticks: data.ticks, label: "meta-step" },
      { domain: [0.3, 300], ticks: [0.3, 1, 3, 10, 30, 100, 300], label: "query loss in training" });
    const testing = plot(0.3, "Error on new tasks over the inner steps in testing",
      { domain: [-0.2, healthy.error.length - 0.8], ticks: [0, 3, 6, 9, 12], label: "inner steps" },
      { domain: [0.3, TOP], ticks: [0.3, 1, 3, 10, 30, 100], label: "error on new tasks" });
    // The loss of one task is as jagged as a saw: markers would only hide it.
    const curves = [training, testing].map((view, i) => ({
      healthy: kit.curve(view, data.roles.healthy), maml: kit.curve(view, "maml", { marked: i ? healthy.error.length : 0 }),
    }));

    function draw(name, one) {
      curves[0][name].draw(one.loss.map((_, i) => (i + 0.5) * data.window), one.loss);
      curves[1][name].draw(one.error.map((_, step) => step), one.error);
    }

    function redraw() {
      const now = compute(cases, state);
      draw("healthy", healthy);
      draw("maml", cases[state.patient]);
      for (const node of guesses) kit.set(node, { "aria-pressed": String(node.textContent === state.guess) });
      say(frame, state, now, cases.length);
      frame.figure.mamlbook.values = now;
    }

    function go(patient, guess = null) {
      Object.assign(state, { patient, guess });
      slider.put(patient + 1);
      redraw();
    }

    const slider = kit.slider({ label: "Training", name: "patient", min: 1, max: cases.length, value: state.patient + 1, change: (v) => go(v - 1) });
    const guesses = data.names.map((name, i) => {
      const node = kit.button(name, () => go(state.patient, name), `guess${i}`);
      return kit.set(node, { "aria-pressed": "false" });
    });
    const show = (name) => (shown) => curves.forEach((pair) => pair[name].show(shown));
    frame.live.append(
      kit.legend(frame, [
        { role: "maml", label: "This training", toggle: show("maml") },
        { role: data.roles.healthy, label: "A healthy one", toggle: show("healthy") },
      ]),
      training.holder, testing.holder, kit.controls(slider.node), frame.says,
      kit.buttons(...guesses),
      kit.buttons(
        kit.button("Tell me", () => go(state.patient, cases[state.patient].name), "tell"),
        kit.button("Next training", () => go((state.patient + 1) % cases.length), "next"),
      ),
    );
    frame.onWidth(redraw);
    frame.figure.mamlbook.state = state;
    frame.figure.mamlbook.redraw = redraw;
  }

  book.diagnosis = Object.freeze({ compute });
  kit.define("diagnosis", build);
})();
