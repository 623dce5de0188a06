/** Alpha planes from the data of a chunk: formats/alpha.py. */

import { DamagedError, MissingExtraError } from "./errors.js";
import { unpackGroup4 } from "./group4.js";
import { enlarged } from "./resampling.js";

const [CONSTANT, MASK, SMOOTHED, SOFT] = [0, 1, 2, 3];
const SNAP = 4; // levels from 0 and 255 that soft planes are drawn to them

/** Uint8Array (height * width), 0 transparent to 255 opaque. Throws DamagedError. */
export async function unpackAlpha(data, height, width) {
  const [kind, first] = data;
  const body = data.subarray(1);
  if (kind === CONSTANT && body.length === 1) return new Uint8Array(height * width).fill(first);
  if (kind === MASK) return unpackGroup4(body, height, width);
  if (kind === SMOOTHED) return smoothed(unpackGroup4(body, height, width), height, width);
  if (kind === SOFT && first >= 2) return unpackSoft(body.subarray(1), first, height, width);
  throw new DamagedError(`the alpha chunk is damaged: its kind is ${kind}`);
}

/** A mask filtered by (1 2 1) / 4 along lines and columns, its outermost pixels left as they are. */
function smoothed(mask, height, width) {
  const plane = mask.slice();
  for (let y = 1; y < height - 1; y++) {
    for (let x = 1; x < width - 1; x++) {
      const at = y * width + x;
      const line = (i) => mask[i - 1] + 2 * mask[i] + mask[i + 1];
      plane[at] = Math.floor((line(at - width) + 2 * line(at) + line(at + width)) / 16 + 0.5);
    }
  }
  return plane;
}

async function unpackSoft(webp, factor, height, width) {
  const [h, w] = [Math.ceil(height / factor), Math.ceil(width / factor)];
  const small = await greenOf(webp, h, w);
  return enlarged(small, h, w, 1, factor, height, width).map((value) => {
    return value <= SNAP ? 0 : value >= 255 - SNAP ? 255 : value;
  });
}

/** Uint8Array (h * w): the green channel of a WebP picture of this size, which the browser decodes. */
async function greenOf(webp, h, w) {
  if (!globalThis.createImageBitmap) throw new MissingExtraError("soft alpha needs a browser, which decodes WebP");
  const blob = new Blob([webp], { type: "image/webp" });
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" }).catch(() => null);
  if (bitmap?.width !== w || bitmap.height !== h) throw new DamagedError("the alpha chunk is damaged");
  const canvas = new OffscreenCanvas(w, h).getContext("2d");
  canvas.drawImage(bitmap, 0, 0);
  const { data } = canvas.getImageData(0, 0, w, h);
  return Uint8Array.from({ length: h * w }, (_, i) => data[4 * i + 1]);
}
