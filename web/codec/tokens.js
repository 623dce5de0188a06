/** The tokens of a picture: what a payload codes, a checksum covers and the networks need. */

import { crc32, crc32OfZeros } from "./checksums.js";
import { BANDS, LATENTS_PER_TOKEN, keptRanks } from "./layout.js";

export class Tokens {
  /**
   * Tokens of rows x columns pieces, all zero. `lengths` has one number a piece, `bands` an Int16Array (latents,
   * rows * side, columns * side) a band, but null for bands that pieces of at most `limit` tokens do not reach.
   */
  constructor(rows, columns, limit) {
    this.rows = rows;
    this.columns = columns;
    this.lengths = new Uint16Array(rows * columns);
    this.bands = BANDS.map((band) => (band.first < limit ? new Int16Array(this.size(band)) : null));
  }

  /** The latents of a band in all pieces. */
  size(band) {
    return band.latents * band.side ** 2 * this.lengths.length;
  }

  /** The CRC-32 of the token bytes, going on from that of what stands before them. */
  crc(before) {
    let crc = crc32(new Uint8Array(this.lengths.buffer), before);
    BANDS.forEach((band, i) => {
      const grid = this.bands[i];
      crc = grid ? crc32(new Uint8Array(grid.buffer), crc) : crc32OfZeros(2 * this.size(band), crc);
    });
    return crc;
  }

  /** The token bytes, in parts, that checksums and golden files are made of. */
  *buffers() {
    yield new Uint8Array(this.lengths.buffer);
    for (const [i, band] of BANDS.entries()) {
      yield this.bands[i] ? new Uint8Array(this.bands[i].buffer) : new Uint8Array(2 * this.size(band));
    }
  }

  /** Copy the tokens of a segment to their place, whose first piece is in row `top` and column `left`. */
  put(part, top, left) {
    copy(part.lengths, 1, part.rows, part.columns, this.lengths, this.rows, this.columns, top, left);
    BANDS.forEach(({ latents, side: n }, i) => {
      if (!part.bands[i] || !this.bands[i]) return;
      const to = [this.rows * n, this.columns * n, top * n, left * n];
      copy(part.bands[i], latents, part.rows * n, part.columns * n, this.bands[i], ...to);
    });
  }

  /** These tokens without those from number `count` on in every piece. */
  first(count) {
    const kept = new Tokens(this.rows, this.columns, count);
    kept.lengths = this.lengths.map((length) => Math.min(length, count));
    BANDS.forEach((band, i) => {
      if (kept.bands[i] && this.bands[i]) keep(band, this.bands[i], kept, kept.bands[i]);
    });
    return kept;
  }
}

/** Copy a grid (channels, h, w) into a larger one (channels, height, width) from a row and column on. */
function copy(from, channels, h, w, to, height, width, top, left) {
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < h; y++) {
      const start = (c * h + y) * w;
      to.set(from.subarray(start, start + w), (c * height + top + y) * width + left);
    }
  }
}

/** Copy the latents of a band whose tokens are below their piece's length. */
function keep(band, from, tokens, to) {
  const h = tokens.rows * band.side;
  const w = tokens.columns * band.side;
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const length = tokens.lengths[Math.floor(y / band.side) * tokens.columns + Math.floor(x / band.side)];
      const latents = LATENTS_PER_TOKEN * keptRanks(band, y, x, length);
      for (let k = 0, at = y * w + x; k < latents; k++, at += h * w) to[at] = from[at];
    }
  }
}
