/**
 * Every error that a reader raises on purpose: those of formats/errors.py that can happen in a browser, with the same
 * names and codes. Messages are one line and say what to do. A call that was aborted fails with its signal's reason.
 */

export class OdpieceError extends Error {
  static code = 1;

  constructor(message) {
    super(message);
    this.name = this.constructor.name;
    this.code = this.constructor.code; // the exit code of the command line
  }
}

/** An option outside its range. */
export class OptionError extends OdpieceError {
  static code = 2;
}

/** A picture that cannot be fetched, or above the limit of pixels. */
export class ImageError extends OdpieceError {
  static code = 3;
}

/** Bytes that are no .odp file. */
export class NotOdpError extends OdpieceError {
  static code = 4;
}

/** A file of another version, or that needs a newer odpiece. */
export class VersionError extends OdpieceError {
  static code = 5;
}

/** A file made with weights that are not among the page's models. */
export class UnknownModelError extends OdpieceError {
  static code = 6;
}

/** A file that is cut or damaged, or a damaged model. */
export class DamagedError extends OdpieceError {
  static code = 7;
}

/** What the browser lacks, or the page does not give: WebAssembly, a secure context, onnxruntime-web. */
export class MissingExtraError extends OdpieceError {
  static code = 10;
}

const ALL = [
  OdpieceError, OptionError, ImageError, NotOdpError, VersionError, UnknownModelError, DamagedError, MissingExtraError,
];

/** What a worker can post of an error. */
export function packError(error) {
  return { name: error?.name ?? "Error", message: error?.message ?? String(error) };
}

/** The error of what `packError` gave; one that is none of ours is an Error. */
export function unpackError({ name, message }) {
  const kind = ALL.find((known) => known.name === name);
  return kind ? new kind(message) : Object.assign(new Error(message), { name });
}
