/** CRC-32 as of zlib. */

const POLYNOMIAL = 0xedb88320;
const ONE = 0x80000000; // polynomials modulo POLYNOMIAL are 32 bits, the highest of which is x^0

const TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
  return crc;
});

/**
 * The CRC-32 of `bytes`, going on from that of what stands before them.
 * @param {Uint8Array} bytes
 */
export function crc32(bytes, before = 0) {
  let crc = ~before;
  for (let i = 0; i < bytes.length; i++) crc = (crc >>> 8) ^ TABLE[(crc ^ bytes[i]) & 255];
  return ~crc >>> 0;
}

/** The CRC-32 of so many zero bytes, going on from that of what stands before them, in no time. */
export function crc32OfZeros(count, before) {
  let power = ONE >>> 8; // x^8: a byte, then two, four, ..
  let crc = ~before;
  for (let left = count; left > 0; left = Math.floor(left / 2)) {
    if (left % 2) crc = product(crc, power);
    power = product(power, power);
  }
  return ~crc >>> 0;
}

/** The product of two polynomials over GF(2), modulo that of the CRC. */
function product(a, b) {
  let sum = 0;
  for (let bit = ONE; bit; bit >>>= 1) {
    if (a & bit) sum ^= b;
    b = b & 1 ? (b >>> 1) ^ POLYNOMIAL : b >>> 1;
  }
  return sum;
}
