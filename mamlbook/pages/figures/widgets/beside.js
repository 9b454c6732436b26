// Two plots that stand side by side where there is room for both, and under one another where there is not.
// No script of its own: a figure's script takes it in where it says `// include beside`.
const GAP = 24, LEAST = 300; // pixels: between them, and the least width of each

// The frame as each of the two plots sees it.
function halves(frame) {
  const half = (width) => (width >= 2 * LEAST + GAP ? (width - GAP) / 2 : width);
  return { ...frame, onWidth: (callback) => frame.onWidth((width) => callback(half(width))) };
}

function sideBySide(...views) {
  for (const view of views) view.holder.style.flex = `1 1 ${LEAST}px`;
  return kit.html("div", { style: `display:flex;flex-wrap:wrap;gap:0 ${GAP}px` }, ...views.map((view) => view.holder));
}
