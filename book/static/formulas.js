// A formula is a stop of the Tab key only where it can be scrolled; MathJax makes every one a stop. The factors of a
// formula that point at code are stops of their own.
(function () {
  "use strict";
  let asked = 0;
  const look = () => {
    asked = 0;
    for (const formula of document.querySelectorAll("mjx-container")) {
      const scrolls = formula.scrollWidth > formula.clientWidth + 1;
      formula.tabIndex = scrolls && !formula.querySelector("button") ? 0 : -1;
    }
  };
  const ask = () => { asked ||= requestAnimationFrame(look); };
  const begin = () => {
    look();
    new ResizeObserver(ask).observe(document.querySelector("article") || document.body);
    document.addEventListener("toggle", ask, true); // what was folded has had no width
  };
  addEventListener("load", () => window.MathJax?.startup?.promise?.then(begin));
})();
