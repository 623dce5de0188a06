/** Segments: rectangles of pieces that are coded independently. */

import { coderOf } from "./coders.js";
import { matches, segmentMatches } from "./container.js";
import { DamagedError } from "./errors.js";
import { CutReader, Reader } from "./range_coder.js";
import { Tokens } from "./tokens.js";
import { walk } from "./walk.js";

/** The borders floor(i * count / n), i = 0..n, of n parts of at most `side`. */
export function borders(count, side) {
  const parts = Math.ceil(count / side);
  return Array.from({ length: parts + 1 }, (_, i) => Math.floor((i * count) / parts));
}

/** The rectangles [top, bottom, left, right] of a picture's segments in raster order, in pieces. */
function split({ rows, columns, segmentSide }) {
  const [tops, lefts] = [borders(rows, segmentSide), borders(columns, segmentSide)];
  return tops.slice(1).flatMap((bottom, i) => lefts.slice(1).map((right, j) => [tops[i], bottom, lefts[j], right]));
}

/**
 * The Tokens of a file's parts, as `unpack` gives them, with the tables of `model`. `partial` takes what is certain of
 * segments that were cut, as the only one may be, and nothing of those of several that are damaged. `onSegment` is
 * called after each, and awaited. Throws DamagedError.
 */
export async function decodeSegments({ header, segments }, model, { partial = false, onSegment = () => {} } = {}) {
  const coder = coderOf(header.coder, model);
  const whole = new Tokens(header.rows, header.columns, header.limit);
  let begun = false;
  for (const [number, [top, bottom, left, right]] of split(header).entries()) {
    const found = decodeOne(segments, number, coder, header, bottom - top, right - left, partial);
    whole.put(found.tokens, top, left);
    begun ||= found.begun;
    await onSegment(number + 1, segments.length);
  }
  if (!begun && segments.length > 1) throw new DamagedError("the file is cut or damaged: nothing of it can be decoded");
  return whole;
}

function decodeOne(segments, number, coder, header, rows, columns, partial) {
  const { payload, checksum, whole } = segments[number];
  try {
    if (whole) return decodeWhole(payload, checksum, coder, header, rows, columns);
  } catch (error) {
    if (!(error instanceof DamagedError)) throw error;
    if (!partial) throw segments.length === 1 ? error : new DamagedError(messageOf(number, segments.length));
    if (segments.length > 1) return { tokens: new Tokens(rows, columns, header.limit), begun: false };
  }
  return walk(new CutReader(payload), coder, header, rows, columns);
}

function decodeWhole(payload, checksum, coder, header, rows, columns) {
  const reader = new Reader(payload);
  const found = walk(reader, coder, header, rows, columns);
  const alone = checksum === null; // the only segment, whose length stands nowhere
  const intact = alone ? matches(header, found.tokens) : segmentMatches(header, checksum, found.tokens);
  if (!intact) throw new DamagedError("the file is cut or damaged");
  if (alone) reader.checkEnd();
  return found;
}

function messageOf(number, count) {
  return `segment ${number} of ${count} is damaged: partial decodes the others`;
}
