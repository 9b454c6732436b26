// Formulas are not in the tab order, but for those that are wider than the page and have to be scrolled by the keyboard.
(function () {
  "use strict";
  const settle = () => document.querySelectorAll("mjx-container").forEach((formula) => {
    formula.tabIndex = formula.scrollWidth > formula.clientWidth + 1 && !formula.querySelector("button") ? 0 : -1;
  });
  addEventListener("load", () => window.MathJax?.startup?.promise.then(() => {
    settle();
    new ResizeObserver(settle).observe(document.querySelector("article") || document.body);
  }));
})();
