/** The .odp container, version 1: header, chunks and stored segments. docs/format.md is the specification. */

import { crc32 } from "./checksums.js";
import { DamagedError, ImageError, NotOdpError, VersionError } from "./errors.js";
import { PIECE } from "./layout.js";

const VERSION = 1;
const MAX_SIDE = 1 << 20; // pixels
export const MAX_PIXELS = 178_956_970;
const FLAGS_FOLLOW = 1 << 12;
const [LIMIT_FLAG, GREY_FLAG, CHUNKS_FLAG, TILES_FLAG] = [1, 2, 4, 8];
const SCALES = [1, 2, 4];
const LEARNED = 2;
export const CODERS = ["raw", "static", "learned"];
const TILE = 256; // pixels along the side of a tile
const MOST_TILE_TOKENS = 256;
const MAX_OVERLAP = 128;
const MOST_BYTES = 90_000; // that the payload of a piece can take
const MOST_TILE_BYTES = 1_000;
const ROUNDS = 16;
const MAX_CHUNK = 1 << 24;
const SMALL_CHUNK = 64; // bytes of data up to which two bytes of the CRC are stored
const ALPHA = 1;
export const CHUNKS = { 1: "alpha", 2: "exif", 3: "icc", 4: "xmp" };
const MAX_VARINT = 5; // bytes

/** A position in a file's bytes; reading beyond its end is a DamagedError. */
class Cursor {
  constructor(data, at = 0) {
    this.data = data;
    this.at = at;
  }

  byte(place = "header") {
    if (this.at >= this.data.length) throw new DamagedError(`the file ends inside its ${place}`);
    return this.data[this.at++];
  }

  /** A big-endian number of `count` bytes. */
  number(count, place) {
    let number = 0;
    for (let i = 0; i < count; i++) number = number * 256 + this.byte(place);
    return number;
  }

  varint(place) {
    let number = 0;
    for (let i = 0; i < MAX_VARINT; i++) {
      const byte = this.byte(place);
      number += (byte & 127) * 128 ** i;
      if (byte === 0 && i) break;
      if (byte < 128) return number;
    }
    throw new DamagedError("the header is damaged");
  }
}

/**
 * All parts of a file: `header`, `chunks` and `segments`, each {payload, checksum, whole}.
 * `partial` allows its end to be missing; damaged chunks are left out then.
 * @param {Uint8Array} data
 */
export function unpack(data, { maxPixels = MAX_PIXELS, partial = false } = {}) {
  const cursor = new Cursor(plainBytes(data));
  const header = readHeader(cursor, maxPixels);
  const chunks = header.hasChunks ? readChunks(cursor, partial) : [];
  const segments = header.segments === 1 ? [readPayload(cursor, header)] : readSegments(cursor, header, partial);
  return { header, chunks, segments };
}

/** The header alone, of which 24 bytes are enough. */
export function unpackHeader(data, { maxPixels = MAX_PIXELS } = {}) {
  return readHeader(new Cursor(plainBytes(data)), maxPixels);
}

function readHeader(cursor, maxPixels) {
  const { data } = cursor;
  if (data[0] !== 0x9d || data[1] !== 0x50) throw new NotOdpError("this is not an .odp file");
  if (data.length < 8) throw new DamagedError("the file ends inside its header");
  const fields = (data[2] << 8) | data[3];
  checkVersion(fields >> 13);
  cursor.at = 8;
  const [width, height] = [cursor.varint() + 1, cursor.varint() + 1];
  const flags = fields & FLAGS_FOLLOW ? readFlags(cursor) : 0;
  const q = ((fields & 1023) | ((flags >> 6) << 10)) + 1;
  const limit = flags & LIMIT_FLAG ? cursor.varint() + 1 : q;
  const layout = flags & TILES_FLAG ? cursor.byte() : null;
  const header = {
    width, height, q, limit, layout, coder: (fields >> 10) & 3, scale: SCALES[(flags >> 4) & 3],
    grey: Boolean(flags & GREY_FLAG), hasChunks: Boolean(flags & CHUNKS_FLAG), model: hex(data.subarray(4, 8)),
  };
  checkFields(header, flags, maxPixels);
  Object.assign(header, sizesOf(header), { fields: data.slice(0, cursor.at) });
  header.checksum = cursor.number(header.checksumBytes);
  return header;
}

function checkVersion(version) {
  if (version === 0) {
    throw new VersionError("the file has version 0, which was never released: encode its picture again");
  }
  if (version !== VERSION) {
    throw new VersionError(`the file has version ${version}, this odpiece reads version ${VERSION}: update odpiece`);
  }
}

function readFlags(cursor) {
  const flags = cursor.byte();
  if (((flags >> 4) & 3) === 3) {
    throw new VersionError("the file has flags that this odpiece does not know: update odpiece");
  }
  if (flags === 0) throw new DamagedError("the header is damaged: it announces flags and has none");
  return flags;
}

function checkFields({ width, height, q, limit, layout, coder, scale }, flags, maxPixels) {
  const tilesFit = coder !== LEARNED && q <= MOST_TILE_TOKENS && limit === q && scale === 1;
  const sound = coder <= LEARNED && Math.max(width, height) <= MAX_SIDE && limit <= q;
  if (!sound || (layout !== null && !(tilesFit && layout <= MAX_OVERLAP + 1))) {
    throw new DamagedError("the header is damaged");
  }
  if (flags & LIMIT_FLAG && limit === q) throw new DamagedError("the header is damaged: it gives a limit that is none");
  if (width * height > maxPixels) {
    throw new ImageError(`${width}x${height} pixels, the limit is ${maxPixels}: maxPixels allows more`);
  }
}

/** What follows from the fields: the size as coded in pixels and in pieces, segments, bytes of the checksum. */
function sizesOf({ width, height, q, layout, scale }) {
  const [codedWidth, codedHeight] = [Math.ceil(width / scale), Math.ceil(height / scale)];
  const [rows, columns] = [Math.ceil(codedHeight / PIECE), Math.ceil(codedWidth / PIECE)];
  const segmentSide = q <= 16 ? 64 : q <= 64 ? 32 : q <= 2048 ? 16 : 8;
  const tiles = layout === null ? 0 : tileCount(width, layout) * tileCount(height, layout);
  const segments = tiles ? 1 : Math.ceil(rows / segmentSide) * Math.ceil(columns / segmentSide);
  const checksumBytes = (tiles ? tiles <= 4 : rows * columns <= 64) ? 2 : 4;
  return { codedWidth, codedHeight, rows, columns, segmentSide, tiles, segments, checksumBytes };
}

function tileCount(size, layout) {
  return layout === 0 || size <= TILE ? 1 : Math.ceil((size - layout + 1) / (TILE - layout + 1));
}

function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function readChunks(cursor, partial) {
  const chunks = [];
  let more = true;
  while (more) {
    const start = cursor.at;
    const head = cursor.byte("chunks");
    const length = cursor.varint();
    const size = length <= SMALL_CHUNK ? 2 : 4;
    const end = cursor.at + length;
    if (length > MAX_CHUNK) throw new DamagedError("a chunk is damaged");
    if (end + size > cursor.data.length) throw new DamagedError("the file ends inside a chunk");
    const crc = crc32(cursor.data.subarray(start, end)) % 256 ** size;
    const chunk = { type: head & 63, critical: Boolean(head & 64), data: cursor.data.slice(cursor.at, end) };
    cursor.at = end;
    if (cursor.number(size) === crc) chunks.push(checkedChunk(chunk));
    else if (!partial) throw new DamagedError(`chunk ${chunk.type} is damaged: its checksum does not match`);
    more = Boolean(head & 128);
  }
  if (new Set(chunks.map((chunk) => chunk.type)).size < chunks.length) {
    throw new DamagedError("the chunks are damaged: a type occurs twice");
  }
  return chunks;
}

function checkedChunk(chunk) {
  const known = chunk.type in CHUNKS;
  if (known && chunk.critical !== (chunk.type === ALPHA)) throw new DamagedError(`chunk ${chunk.type} is damaged`);
  if (!known && chunk.critical) {
    throw new VersionError(`the file needs a newer odpiece, for its chunk of type ${chunk.type}: update odpiece`);
  }
  return chunk;
}

/** The data of the alpha chunk, or null. */
export function alphaOf(chunks) {
  return chunks.find((chunk) => chunk.type === ALPHA)?.data ?? null;
}

function readPayload({ data, at }, header) {
  const most = header.tiles ? MOST_TILE_BYTES * header.tiles : MOST_BYTES * header.rows * header.columns;
  if (data.length - at > most) {
    throw new DamagedError(`the file is damaged: ${data.length - at} bytes are more than so many pixels can take`);
  }
  return { payload: data.subarray(at), checksum: null, whole: true };
}

function readSegments(cursor, header, partial) {
  if (Math.floor((cursor.data.length - cursor.at) / 3) < header.segments) {
    throw new DamagedError(`the file is cut or damaged: it is too short for ${header.segments} segments`);
  }
  const table = Array.from({ length: header.segments }, () => {
    return { length: cursor.varint("segment table"), checksum: cursor.number(2, "segment table") };
  });
  if (table.some(({ length }) => length > MOST_BYTES * header.segmentSide ** 2)) {
    throw new DamagedError("the segment table is damaged");
  }
  const total = table.reduce((sum, { length }) => sum + length, 0);
  if (total !== cursor.data.length - cursor.at && !partial) {
    throw new DamagedError("the file is cut or damaged: its segments take more or fewer bytes than there are");
  }
  return separate(cursor.data.subarray(cursor.at), table);
}

/** What `data` holds of each payload, whose parts take turns: all, or less where its end is missing. */
function separate(data, table) {
  const parts = table.map(() => []);
  let at = 0;
  for (let round = 0; round < ROUNDS; round++) {
    table.forEach(({ length }, i) => {
      const size = Math.floor(((round + 1) * length) / ROUNDS) - Math.floor((round * length) / ROUNDS);
      parts[i].push(data.subarray(at, at + size));
      at += size;
    });
  }
  return table.map(({ length, checksum }, i) => {
    const payload = concatenated(parts[i]);
    return { payload, checksum, whole: payload.length === length };
  });
}

/** The Uint8Array of the same bytes: Node's Buffer, which is one, slices in another way. */
export function plainBytes({ buffer, byteOffset, byteLength }) {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** One Uint8Array of several. */
export function concatenated(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Whether the checksum in the header is that of these tokens. */
export function matches(header, tokens) {
  return tokens.crc(crc32(header.fields)) % 256 ** header.checksumBytes === header.checksum;
}

/** Whether the checksum of a segment is that of its tokens. */
export function segmentMatches(header, checksum, tokens) {
  return tokens.crc(crc32(header.fields)) % 65536 === checksum;
}
