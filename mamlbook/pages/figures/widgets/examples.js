// The examples of a task that a reader drags, adds by a click and takes away, as handles of a plot.
// No script of its own: a figure's script takes it in where it says `// include examples`.
// `state.points` are pairs (x, y) with x from low to high and y from -top to top, at least one and `most` at most.
// What comes back puts the handles where the points are.

function movable(view, state, { word, low, high, top, most, redraw }) {
  const handles = [];

  function remove(i) {
    if (state.points.length === 1) return; // a task needs an example
    const focused = view.picture.contains(document.activeElement);
    state.points.splice(i, 1);
    redraw();
    if (focused) handles[Math.min(i, handles.length - 1)].node.focus({ preventScroll: true });
  }

  function handle(i) {
    return kit.handle(view, {
      role: "support", x: { min: low, max: high, step: 0.1 }, y: { min: -top, max: top, step: 0.1 },
      label: () => `${word} ${i + 1} of ${state.points.length}`,
      at: () => ({ x: state.points[i][0], y: state.points[i][1] }),
      value: () => {
        const [x, y] = state.points[i];
        return { now: Number(y.toFixed(2)), text: `x ${kit.fixed(x, 1)}, y ${kit.fixed(y, 1)}` };
      },
      move: (x, y) => { state.points[i] = [x, y]; redraw(); },
      remove: () => remove(i),
    });
  }

  view.picture.classList.add("mb-tappable");
  view.onTap = (x, y) => {
    if (state.points.length === most) return;
    state.points.push([x, y]);
    redraw();
  };

  // As many handles as points; handle i always belongs to point i.
  return () => {
    while (handles.length > state.points.length) handles.pop().leave();
    while (handles.length < state.points.length) handles.push(handle(handles.length));
    handles.forEach((made, i) => made.place(...state.points[i]));
  };
}
