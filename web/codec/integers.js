/**
 * Weights for the convolutions of 8-bit integers, made of those stored; see models/integers.py.
 *
 *     NAME.bytes, NAME.steps     of the convolution NAME: Int8Array and Float32Array, one number an output
 */

const LARGEST_WEIGHT = 63;
const KERNEL = 9; // weights of 3x3
const SMALLEST = Math.fround(1e-9);
const WHOLE = 1.5 * 2 ** 52; // which rounds what it is added to, half to even

/** {values} of the tensor of this name, made of stored ones where it is one of integers; `stored(name)` gives those. */
export function withIntegers(name, stored) {
  const [, conv, kind] = name.match(/^(.*)\.(bytes|steps)$/) ?? [];
  if (!conv) return stored(name);
  const { values: weights, shape: [outputs, inputs] } = stored(`${conv}.weight`);
  const spread = stored(`scales.${conv.replace(/\.\w+$/, "")}`).values;
  const expands = conv.endsWith(".expand");
  const scaled = expands ? timesSpread(weights, spread, inputs) : weights;
  const steps = stepsOf(scaled, outputs);
  if (kind === "bytes") return { values: rounded(scaled, steps) };
  return { values: expands ? steps : steps.map((step, output) => step / spread[output]) };
}

/** Weights (outputs, inputs, 3, 3) times the spread of the inputs. */
function timesSpread(weights, spread, inputs) {
  return weights.map((weight, i) => weight * spread[Math.floor(i / KERNEL) % inputs]);
}

/** Float32Array (outputs,): the value of the whole number 1 in the weights of each output. */
function stepsOf(weights, outputs) {
  const [steps, size] = [new Float32Array(outputs), weights.length / outputs];
  for (let output = 0; output < outputs; output++) {
    let largest = 0;
    for (let i = output * size; i < (output + 1) * size; i++) largest = Math.max(largest, Math.abs(weights[i]));
    steps[output] = Math.max(Math.fround(largest * Math.fround(1 / LARGEST_WEIGHT)), SMALLEST);
  }
  return steps;
}

function rounded(weights, steps) {
  const [whole, size] = [new Int8Array(weights.length), weights.length / steps.length];
  for (let i = 0; i < whole.length; i++) whole[i] = Math.fround(weights[i] / steps[Math.floor(i / size)]) + WHOLE - WHOLE;
  return whole;
}
