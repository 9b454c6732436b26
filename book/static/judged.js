// The judge of an exercise whose answer is a number, or several: what its cell's own judge accepts, in the same words.
(function () {
  "use strict";
  const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

  // A number as Python reads it, or one over another; NaN for whatever else it is.
  function number(text) {
    const parts = text.trim().replace(/\u2212/g, "-").split("/").map((part) => part.trim());
    if (parts.length > 2 || !parts.every((part) => NUMBER.test(part))) return NaN;
    const [over, under = 1] = parts.map(Number);
    return Number.isFinite(over / under) ? over / under : NaN;
  }

  // On which side of the accepted numbers one lies, -1, 0 or 1; the first interval is the one of the solution.
  function side(intervals, value) {
    if (intervals.some(([low, high]) => (low ?? -Infinity) <= value && value <= (high ?? Infinity))) return 0;
    return value < (intervals[0][0] ?? -Infinity) ? -1 : 1;
  }

  const WORDS = { "-1": "is too small", 0: "is right", 1: "is too big" };

  // What the cell would print of an answer, a hint, whether it is right, and whether it could be read at all.
  window.mamlbookJudge = ({ claim, says, accepts }, text) => {
    if (!text.trim()) return { line: `\u2026 ${claim}: your turn`, right: false, read: false };
    const several = accepts.length > 1, wrong = { line: `\u2717 ${claim}: not yet`, right: false };
    const parts = (several ? text.trim().replace(/^\((.*)\)$|^\[(.*)\]$/, "$1$2") : text).split(",");
    const values = parts.map(number);
    if (parts.length !== accepts.length) {
      const hint = several ? `Expected ${accepts.length} numbers with a comma between.` : "Expected one number; write 0.5 with a point.";
      return { ...wrong, hint, read: false };
    }
    if (values.some(Number.isNaN)) return { ...wrong, hint: "Expected a number, such as 2, 0.5, 1/2 or 5e-1.", read: false };
    const sides = values.map((value, place) => side(accepts[place], value));
    const hint = `${parts.map((part, place) => `${part.trim()} ${WORDS[sides[place]]}`).join(", ")}.`;
    if (sides.some(Boolean)) return { ...wrong, hint, read: true };
    return { line: `\u2713 ${claim}${says && ": "}${says}`, hint, right: true, read: true };
  };
})();
