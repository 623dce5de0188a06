/**
 * The layout of tokens and the quantization step: what models/interface.py and codec/bands/tokens.py say.
 *
 * A picture of rows x columns pieces of 64x64 pixels has five bands of blocks; a token is three neighbouring latents of
 * a block. Token number first + rank * side^2 + block of a piece is kept where it is below the piece's length.
 */

export const PIECE = 64; // pixels along the side of a piece
export const TOKENS = 4096; // of a piece
export const LATENTS_PER_TOKEN = 3;
export const LOOKS = ["faithful", "natural"];
export const USUAL_BANDS = 3; // all that usual qualities have
const USUAL_QUALITY = 512; // the largest of those
export const Q_OCTAVES = 13;

export const BANDS = [
  band(64, 48, 0, [1, 1, 2, 4, 8], 3),
  band(32, 36, 16, [1, 1, 2, 4, 4]),
  band(16, 180, 64, [1, 1, 2, 4, 8, 12, 16, 16]),
  band(16, 192, 1024, [8, 8, 16, 16, 16]),
  band(8, 96, 2048, [4, 4, 8, 8, 8]),
];

/** `side` is the blocks along the side of a piece, `starts` the first rank of each group and the count of all. */
function band(block, latents, first, groups, phases = 1) {
  const starts = [0];
  for (const ranks of groups) starts.push(starts.at(-1) + ranks);
  return { block, latents, first, groups, phases, starts, side: PIECE / block, ranks: latents / LATENTS_PER_TOKEN };
}

/** Lengths that pieces may keep: the ends of all groups. */
export const LENGTHS = [0, ...BANDS.flatMap((b) => b.starts.slice(1).map((ranks) => b.first + b.side ** 2 * ranks))];

export function isFine(q) {
  return q > USUAL_QUALITY;
}

/** The bands that the networks take at quality `q`. */
export function bandsOf(q) {
  return isFine(q) ? BANDS : BANDS.slice(0, USUAL_BANDS);
}

/** The nearest octave, 0..12, of quality `q`, by integers alone. */
export function octave(q) {
  return (32 - Math.clz32(q * q)) >> 1;
}

/** Of three phases the first has the blocks of even row and column, the second of odd ones, the third the rest. */
export function phaseOf(band, row, column) {
  if (band.phases === 1) return 0;
  return row % 2 === column % 2 ? row % 2 : 2;
}

/** How many ranks of the block in this row and column of a band its piece, so many tokens long, keeps. */
export function keptRanks(band, row, column, length) {
  const number = (row % band.side) * band.side + (column % band.side);
  const ranks = Math.ceil((length - band.first - number) / band.side ** 2);
  return Math.max(0, Math.min(band.ranks, ranks));
}

const STEP_AT_OCTAVE = [11, 10.1, 9.2, 7.8, 6.4, 5, 3.8, 2.74, 1.9, 1.26, 0.8, 0.3, 0.08];
const MEAN_STEP_AT_OCTAVE = [1, 1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5];

/** Float32Array (13,): linear interpolation weights of `q` between the octaves 1, 2, 4, .. 4096. */
export function octaveWeights(q) {
  return Float32Array.from({ length: Q_OCTAVES }, (_, i) => Math.max(0, 1 - Math.abs(Math.log2(q) - i)));
}

/** The quantization step at quality `q`: of all latents, and of those of the first token. */
export function steps(q) {
  const step = logLinear(STEP_AT_OCTAVE, q);
  return { step, mean: step * logLinear(MEAN_STEP_AT_OCTAVE, q) };
}

function logLinear(knots, q) {
  return Math.exp(octaveWeights(q).reduce((sum, weight, i) => sum + weight * Math.log(knots[i]), 0));
}
