// A factor of a formula lights the lines of code that compute it, and such a line its factors; see following.py.
(function () {
  "use strict";
  const list = (numbers) => numbers.map((number, place) => (place ? (place === numbers.length - 1 ? " and " : ", ") : "") + number).join("");
  const said = ({ name, where }) => `${name}: ${where.map(({ words, lines }) => `line${lines.length > 1 ? "s" : ""} ${list(lines)} ${words}`).join("; ")}`;

  function begin() {
    const factors = JSON.parse(document.getElementById("factors").textContent);
    const lines = new Map(); // each line of code that computes something, and what
    let pinned = [];
    factors.forEach((factor) => {
      factor.lines = factor.where.flatMap(({ code, lines }) => lines.map((number) => document.getElementById(`${code}-${number}`)));
      factor.lines.forEach((line) => lines.set(line, [...(lines.get(line) || []), factor]));
    });

    function light(chosen) {
      factors.forEach((factor) => {
        const lit = chosen.includes(factor);
        factor.button.classList.toggle("lit", lit);
        if (!chosen.length || lit) factor.label.textContent = lit ? said(factor) : "";
      });
      lines.forEach((computed, line) => line.classList.toggle("lit", computed.some((factor) => chosen.includes(factor))));
    }
    // A mouse points for as long as it is there; a finger and the keyboard until they go elsewhere.
    function points(target, chosen) {
      target.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && light(chosen));
      target.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && light(pinned));
      target.addEventListener("click", () => light(pinned = chosen));
    }
    document.addEventListener("click", (event) => {
      if (pinned.length && !event.target.closest(".factor, .computes")) light(pinned = []);
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") light(pinned = []);
    });

    factors.forEach((factor, number) => {
      const drawn = document.querySelector(`mjx-math .factor-${number}`), formula = drawn.closest("mjx-container");
      const block = formula.closest("div.math");
      const button = document.createElement("button");
      button.type = "button";
      button.className = "factor";
      button.setAttribute("aria-label", said(factor));
      factor.button = button;
      factor.label = block.querySelector(".factor-name") || document.createElement("span");
      factor.label.className = "factor-name";
      factor.label.setAttribute("aria-hidden", "true"); // it says what the button is called
      formula.append(button);
      block.append(factor.label);
      points(button, [factor]);
      button.addEventListener("focus", () => light(pinned = [factor]));
      button.addEventListener("blur", () => light(pinned = []));
      // The button lies over the factor, and takes no room.
      const place = () => {
        const whole = formula.getBoundingClientRect(), own = drawn.getBoundingClientRect();
        const width = Math.max(own.width, 24), height = Math.max(own.height, 24);
        button.style.width = `${width}px`;
        button.style.height = `${height}px`;
        button.style.left = `${own.left - (width - own.width) / 2 - whole.left + formula.scrollLeft}px`;
        button.style.top = `${own.top - (height - own.height) / 2 - whole.top + formula.scrollTop}px`;
      };
      new ResizeObserver(place).observe(formula);
      new ResizeObserver(place).observe(drawn);
    });
    lines.forEach((computed, line) => {
      line.classList.add("computes");
      line.title = computed.map(({ name }) => name).join("; ");
      points(line, computed);
    });
  }

  // Formulas are drawn after the page is there.
  addEventListener("load", () => window.MathJax?.startup?.promise.then(begin));
})();
