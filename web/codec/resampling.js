/** Catmull and Rom's cubic filter, the way up of pictures that are coded smaller: docs/format.md, "Scale". */

/**
 * Uint8Array (height, width, channels): pixels (h, w, channels) scaled up `scale` times and cropped. Lines first.
 * @param {Uint8Array} pixels
 */
export function enlarged(pixels, h, w, channels, scale, height, width) {
  if (scale === 1) return pixels;
  const wide = stretched(pixels, h, w, channels, scale, width);
  return stretched(wide, 1, h, width * channels, scale, height);
}

/** Uint8Array (rows, to, step) of values (rows, from, step), scaled up along the middle axis. */
function stretched(values, rows, from, step, scale, to) {
  const out = new Uint8Array(rows * to * step);
  for (let i = 0; i < to; i++) {
    const { n, weights } = tapsAt(i, scale);
    const [a, b, c, d] = [-1, 0, 1, 2].map((k) => Math.max(0, Math.min(from - 1, n + k)) * step);
    for (let row = 0; row < rows; row++) {
      const [source, target] = [row * from * step, (row * to + i) * step];
      for (let j = 0; j < step; j++) {
        const at = source + j;
        const before = weights[0] * values[at + a] + weights[1] * values[at + b];
        const sum = before + weights[2] * values[at + c] + weights[3] * values[at + d];
        out[target + j] = Math.max(0, Math.min(255, Math.floor(sum / 2 + 0.5)));
      }
    }
  }
  return out;
}

/** The pixel `n` at or before number i of the larger line, and twice the weights of n - 1 .. n + 2. */
function tapsAt(i, scale) {
  const x = (i + 0.5) / scale - 0.5;
  const n = Math.floor(x);
  const t = x - n;
  const [t2, t3] = [t * t, t * t * t];
  return { n, weights: [-t + 2 * t2 - t3, 2 - 5 * t2 + 3 * t3, t + 4 * t2 - 3 * t3, t3 - t2] };
}
