/**
 * Previews: what files of at most 64 tokens a piece need of a model, as models/preview.py makes it. The prior is that
 * of the model, so tokens are exact; in place of the networks each latent adds a patch of pixels, at 1/8 of the size.
 */

import { CODERS } from "./container.js";
import { UnknownModelError } from "./errors.js";
import { BANDS, PIECE, isFine } from "./layout.js";
import { Weights } from "./model.js";
import { enlarged } from "./resampling.js";

const SHRUNK = 8; // pixels of the picture for one of the preview, along each side
const GREY = 128; // without latents
const BANDS_KEPT = 2;
const MOST_TOKENS = BANDS[BANDS_KEPT].first;
const AROUND = 9;

export class Preview extends Weights {
  /** Of the bytes of a preview, a zlib stream. */
  static async of(bytes) {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Preview(new Uint8Array(await new Response(stream).arrayBuffer()));
  }

  constructor(bytes) {
    super(bytes);
    const { scales } = this.file.header.__metadata__;
    this.patches = JSON.parse(scales).map((scale, i) => {
      return new Float32Array(this.numbers(`preview.${i}`)).map((number) => number * scale);
    });
  }

  /** Throw UnknownModelError where a file has tokens that a preview cannot decode, or another coder. */
  check({ q, limit, coder }) {
    if (limit > MOST_TOKENS || isFine(q) || CODERS[coder] === "static") {
      throw new UnknownModelError(`the preview knows at most ${MOST_TOKENS} tokens a piece: decode without it`);
    }
  }

  /** In place of the networks, see synthesis.js: both looks are the same. */
  async network() {
    return { names: [], run: async (inputs) => this.synthesized(inputs) };
  }

  synthesized({ band0, band1 }) {
    const [h, w] = [band0.shape[2] * PIECE, band0.shape[3] * PIECE];
    const small = new Float32Array((h * w * 3) / SHRUNK ** 2).fill(GREY);
    [band0, band1].forEach((grid, i) => this.add(grid, BANDS[i].block / SHRUNK, this.patches[i], small, w / SHRUNK));
    const pixels = Uint8Array.from(small, (value) => Math.max(0, Math.min(255, Math.round(value))));
    return { data: enlarged(pixels, h / SHRUNK, w / SHRUNK, 3, SHRUNK, h, w), width: w };
  }

  /** Add the patches, `side` pixels wide, of a band's latents to pixels (.., width, 3); its edges go on beyond it. */
  add({ values, shape: [, latents, h, w] }, side, patches, pixels, width) {
    const size = side ** 2 * 3;
    for (let y = -1; y <= h; y++) {
      for (let x = -1; x <= w; x++) {
        const block = Math.max(0, Math.min(h - 1, y)) * w + Math.max(0, Math.min(w - 1, x));
        for (let part = 0; part < AROUND; part++) {
          const [row, column] = [y + Math.floor(part / 3) - 1, x + (part % 3) - 1];
          if (row < 0 || row >= h || column < 0 || column >= w) continue;
          for (let number = 0; number < latents; number++) {
            const latent = values[number * h * w + block];
            const patch = (number * AROUND + part) * size;
            if (latent !== 0) addPatch(pixels, width, row * side, column * side, side, patches, patch, latent);
          }
        }
      }
    }
  }
}

/** Add so many times a patch, that begins at patches[at], to pixels (.., width, 3) from a line and a column on. */
function addPatch(pixels, width, top, left, side, patches, at, factor) {
  for (let line = 0; line < side; line++) {
    const start = ((top + line) * width + left) * 3;
    for (let i = 0; i < side * 3; i++) pixels[start + i] += factor * patches[at++];
  }
}
