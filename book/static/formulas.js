// A formula is a stop of the Tab key only where it can be scrolled; MathJax makes every one a stop.
(function () {
  "use strict";
  let asked = 0;
  const look = () => {
    asked = 0;
    for (const formula of document.querySelectorAll("mjx-container")) {
      formula.tabIndex = formula.scrollWidth > formula.clientWidth ? 0 : -1;
    }
  };
  const ask = () => { asked ||= requestAnimationFrame(look); };
  const begin = () => {
    look();
    new ResizeObserver(ask).observe(document.querySelector("article") || document.body);
    document.addEventListener("toggle", ask, true); // what was folded has had no width
    document.fonts.addEventListener("loadingdone", ask); // letters of another width
  };
  addEventListener("load", () => window.MathJax?.startup?.promise?.then(begin));
})();
