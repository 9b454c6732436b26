// The network of the sine figures, 1 -> H1 -> H2 -> 1 with ReLU, in double precision, and its gradient descent.
// No script of its own: a figure's script takes it in where it says `// include network`.
// Parameters are six flat arrays in PyTorch's order: weight (out, in) row by row and bias, for three layers.

const copy = (parameters) => parameters.map((array) => Float64Array.from(array));

function scratch(parameters) {
  return { first: new Float64Array(parameters[1].length), second: new Float64Array(parameters[3].length) };
}

// The output at x; the hidden activations stay in `hidden` for the backward pass.
function forward([w1, b1, w2, b2, w3, b3], x, hidden) {
  const { first, second } = hidden, width = first.length;
  for (let j = 0; j < width; j++) first[j] = Math.max(0, w1[j] * x + b1[j]);
  let y = b3[0];
  for (let i = 0; i < second.length; i++) {
    let sum = b2[i];
    for (let j = 0; j < width; j++) sum += w2[i * width + j] * first[j];
    second[i] = Math.max(0, sum);
    y += w3[i] * second[i];
  }
  return y;
}

// Adds one point's gradient, given the derivative of the loss by the output. ReLU has slope 0 at 0, as in PyTorch.
function backward([, , w2, , w3], gradient, x, slope, { first, second }) {
  const [g1, c1, g2, c2, g3, c3] = gradient, width = first.length;
  c3[0] += slope;
  const below = new Float64Array(width);
  for (let i = 0; i < second.length; i++) {
    g3[i] += slope * second[i];
    if (!(second[i] > 0)) continue;
    const d = slope * w3[i];
    c2[i] += d;
    for (let j = 0; j < width; j++) {
      g2[i * width + j] += d * first[j];
      below[j] += d * w2[i * width + j];
    }
  }
  for (let j = 0; j < width; j++) {
    if (!(first[j] > 0)) continue;
    g1[j] += below[j] * x;
    c1[j] += below[j];
  }
}

// One step of full-batch gradient descent on the mean squared error, in place.
function descend(parameters, points, alpha, hidden) {
  const gradient = parameters.map((array) => new Float64Array(array.length));
  for (const [x, y] of points) {
    const slope = (2 * (forward(parameters, x, hidden) - y)) / points.length;
    backward(parameters, gradient, x, slope, hidden);
  }
  parameters.forEach((array, k) => { for (let i = 0; i < array.length; i++) array[i] -= alpha * gradient[k][i]; });
}

// phi: what `steps` gradient steps of size alpha on `points` make of `start`. Without points nothing changes.
function adapt(start, points, alpha, steps) {
  const parameters = copy(start), hidden = scratch(parameters);
  for (let s = 0; s < steps && points.length > 0; s++) descend(parameters, points, alpha, hidden);
  return parameters;
}

function predict(parameters, xs) {
  const hidden = scratch(parameters);
  return Float64Array.from(xs, (x) => forward(parameters, x, hidden));
}

function error(parameters, points) {
  const outputs = predict(parameters, points.map(([x]) => x));
  return points.reduce((sum, [, y], i) => sum + (outputs[i] - y) ** 2, 0) / points.length;
}

function squaredGap(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return sum / a.length;
}
