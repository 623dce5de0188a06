/** CCITT group 4 (ITU-T T.6), as it stands in a TIFF strip: high bit first, no end of data needed. */

import { DamagedError } from "./errors.js";

// Codes of runs of 0..63, of 64, 128, .. 1728, and of both colours' 1792, 1856, .. 2560 pixels (ITU-T T.4)
const WHITE =
  "00110101 000111 0111 1000 1011 1100 1110 1111 10011 10100 00111 01000 001000 000011 110100 110101 101010 " +
  "101011 0100111 0001100 0001000 0010111 0000011 0000100 0101000 0101011 0010011 0100100 0011000 00000010 " +
  "00000011 00011010 00011011 00010010 00010011 00010100 00010101 00010110 00010111 00101000 00101001 00101010 " +
  "00101011 00101100 00101101 00000100 00000101 00001010 00001011 01010010 01010011 01010100 01010101 00100100 " +
  "00100101 01011000 01011001 01011010 01011011 01001010 01001011 00110010 00110011 00110100 11011 10010 010111 " +
  "0110111 00110110 00110111 01100100 01100101 01101000 01100111 011001100 011001101 011010010 011010011 " +
  "011010100 011010101 011010110 011010111 011011000 011011001 011011010 011011011 010011000 010011001 010011010 " +
  "011000 010011011";
const BLACK =
  "0000110111 010 11 10 011 0011 0010 00011 000101 000100 0000100 0000101 0000111 00000100 00000111 000011000 " +
  "0000010111 0000011000 0000001000 00001100111 00001101000 00001101100 00000110111 00000101000 00000010111 " +
  "00000011000 000011001010 000011001011 000011001100 000011001101 000001101000 000001101001 000001101010 " +
  "000001101011 000011010010 000011010011 000011010100 000011010101 000011010110 000011010111 000001101100 " +
  "000001101101 000011011010 000011011011 000001010100 000001010101 000001010110 000001010111 000001100100 " +
  "000001100101 000001010010 000001010011 000000100100 000000110111 000000111000 000000100111 000000101000 " +
  "000001011000 000001011001 000000101011 000000101100 000001011010 000001100110 000001100111 0000001111 " +
  "000011001000 000011001001 000001011011 000000110011 000000110100 000000110101 0000001101100 0000001101101 " +
  "0000001001010 0000001001011 0000001001100 0000001001101 0000001110010 0000001110011 0000001110100 " +
  "0000001110101 0000001110110 0000001110111 0000001010010 0000001010011 0000001010100 0000001010101 " +
  "0000001011010 0000001011011 0000001100100 0000001100101";
const BOTH =
  "00000001000 00000001100 00000001101 000000010010 000000010011 000000010100 000000010101 000000010110 " +
  "000000010111 000000011100 000000011101 000000011110 000000011111";
const RUNS = [WHITE, BLACK].map((codes) => {
  return codeBook(`${codes} ${BOTH}`.split(" "), (i) => (i < 64 ? i : 64 * (i - 63)));
});
const [PASS, HORIZONTAL] = ["pass", "horizontal"];
const MODES = codeBook(
  ["0001", "001", "1", "011", "000011", "0000011", "010", "000010", "0000010"],
  (i) => [PASS, HORIZONTAL, 0, 1, 2, 3, -1, -2, -3][i],
);
const LONGEST_CODE = 13;

/** A Map of codes, each with a leading one, to what they mean. */
function codeBook(codes, meaning) {
  return new Map(codes.map((code, i) => [parseInt(`1${code}`, 2), meaning(i)]));
}

/** Uint8Array (height * width), white 255 and black 0. Throws DamagedError. */
export function unpackGroup4(data, height, width) {
  const reader = new Bits(data);
  const plane = new Uint8Array(height * width).fill(255);
  let above = [width];
  for (let y = 0; y < height; y++) {
    above = readLine(reader, above, width);
    for (let i = 0; i < above.length; i += 2) {
      plane.fill(0, y * width + Math.min(above[i], width), y * width + Math.min(above[i + 1] ?? width, width));
    }
  }
  return plane;
}

class Bits {
  constructor(data) {
    this.data = data;
    this.at = 0;
  }

  /** What the next code of a book means. */
  next(book) {
    let code = 1;
    for (let length = 0; length < LONGEST_CODE; length++) {
      code = (code << 1) | ((this.data[this.at >> 3] >> (7 - (this.at & 7))) & 1);
      this.at++;
      if (book.has(code)) return book.get(code);
    }
    throw new DamagedError("the alpha chunk is damaged");
  }

  /** The length of a run of a colour, 0 white or 1 black. */
  run(colour) {
    let [length, part] = [0, 64];
    for (; part >= 64; length += part) part = this.next(RUNS[colour]);
    return length;
  }
}

/** The places where the colour of a line changes, white at first, from those of the line above. */
function readLine(reader, above, width) {
  const changes = [];
  let [at, colour] = [-1, 0];
  while (at < width) {
    const start = Math.max(at, 0);
    const [b1, b2] = changesAbove(above, at, colour, width);
    const mode = reader.next(MODES);
    if (mode === PASS) at = b2;
    else if (mode === HORIZONTAL) {
      const first = start + reader.run(colour);
      at = first + reader.run(1 - colour);
      changes.push(first, at);
    } else {
      at = b1 + mode;
      if (at < start) throw new DamagedError("the alpha chunk is damaged");
      changes.push(at);
      colour = 1 - colour;
    }
    if (at > width) throw new DamagedError("the alpha chunk is damaged");
  }
  return changes;
}

/** The first change above, right of `at`, to the other colour, and the one after it. */
function changesAbove(above, at, colour, width) {
  let i = colour;
  while (i < above.length && above[i] <= at) i += 2;
  return [above[i] ?? width, above[i + 1] ?? width];
}
