"""Arithmetic coding by constriction: symbols under integer tables, and plain bits.

A table is uint32 (rows, symbols), each row summing to exactly 2**24 - symbols, so that constriction's
cumulative frequencies are integers and the same everywhere. `Writer` and `Reader` have the same two
methods; a Reader ignores the values it is given and returns the decoded ones, so one walk serves both.
"""

from functools import lru_cache

import constriction
import numpy as np

from odpiece.formats.errors import DamagedError

Categorical = constriction.stream.model.Categorical
Uniform = constriction.stream.model.Uniform

PRECISION = 1 << 24
WORD_BITS = 32
STATE_WORDS = 2  # the size of the coder's state


def row_total(symbols):
    """What each row of a table of this many symbols must sum to."""
    return PRECISION - symbols


def level_table(rows, symbols):
    """uint32 (rows, symbols) that makes all symbols as good as equally likely."""
    table = np.full((rows, symbols), row_total(symbols) // symbols, dtype=np.uint32)
    table[:, 0] += np.uint32(row_total(symbols) % symbols)
    return table


def to_table(counts):
    """uint32 table of the rows' frequencies: no symbol impossible, each row with the sum the range coder needs.

    What rounding leaves over goes to each row's most frequent symbol.
    """
    total = row_total(counts.shape[1])
    share = counts / counts.sum(axis=1, keepdims=True)
    table = np.maximum(1, np.floor(share * total)).astype(np.int64)
    table[np.arange(len(table)), table.argmax(axis=1)] += total - table.sum(axis=1)
    return table.astype(np.uint32)


def bits(table):
    """float64 like `table`: the ideal code length of each symbol, -log2 of its probability."""
    return -np.log2((table + 1.0) / PRECISION)


def spent_bits(table, rows, symbols):
    """The ideal code length of all `symbols`, (n,), under the table rows `rows`, as a float to be shown: `bits` of each
    would take several times longer.
    """
    shares = table.reshape(-1).take(rows * table.shape[1] + symbols).astype(np.float32)
    shares += 1
    shares /= PRECISION
    return float(-np.log(shares, out=shares).sum(dtype=np.float64) / np.log(2))


class _Channel:
    """Both directions; subclasses code an int32 array under runs of constriction models, pairs (model, count)."""

    def symbols(self, table, rows, symbols):
        """Code int32 (n,) `symbols`, each under the table row `rows` (int, (n,)) names; gives the symbols."""
        order, runs = _runs(table, rows)
        return _put_back(self._code(runs, None if symbols is None else symbols[order]), order)

    def uniform(self, size, values, count):
        """Code int32 (count,) `values` in 0..size - 1, all equally likely; gives the values."""
        if size == 1 or count == 0:
            return np.zeros(count, dtype=np.int32)
        return self._code([(Uniform(size), count)], values)


def _runs(table, rows):
    """The order, int (n,), in which `rows` (int, (n,)) ascend, equal ones as they come, and the runs of equal ones, by
    their models.
    """
    # numbers of two bytes are sorted by radix: several times faster
    order = np.argsort(rows.astype(np.min_scalar_type(len(table))), kind="stable")
    counts = np.bincount(rows)
    used = np.flatnonzero(counts)
    frequencies = table[used].view(f"V{table.itemsize * table.shape[1]}")[:, 0].tolist()
    return order, list(zip(map(_model, frequencies), counts[used].tolist()))


@lru_cache(maxsize=1 << 13)
def _model(frequencies):
    """constriction's model of a row of a table, given its bytes."""
    return Categorical(np.frombuffer(frequencies, np.uint32).astype(np.float64), perfect=False)


def _put_back(values, order):
    """`values`, (n,), at the places that `order` took them from."""
    out = np.empty_like(values)
    out[order] = values
    return out


class Writer(_Channel):
    """Collects a payload."""

    def __init__(self):
        self._encoder = constriction.stream.queue.RangeEncoder()

    def symbols(self, table, rows, symbols):
        order, runs = _runs(table, rows)
        self._code(runs, symbols[order])
        return symbols

    def _code(self, runs, symbols):
        symbols, start, encode = np.ascontiguousarray(symbols, dtype=np.int32), 0, self._encoder.encode
        for model, count in runs:
            encode(symbols[start : start + count], model)
            start += count
        return symbols

    def to_bytes(self):
        """The shortest payload that, followed by zeros, decodes to what was written.

        Any number in [lower, lower + width) ends the stream, where the interval is the encoder's state
        after the words that are settled: this takes the one with the most trailing zero bytes.
        """
        settled, (low_bits, width) = self._encoder.pos()
        words = np.zeros(settled + STATE_WORDS, dtype=">u4")
        sealed = self._encoder.get_compressed()
        words[: len(sealed)] = sealed
        number = int.from_bytes(words.tobytes(), "big")
        lower = number - (number - low_bits) % (1 << WORD_BITS * STATE_WORDS)
        drop = 0
        while drop < 8 * STATE_WORDS and _round_up(lower, 8 * (drop + 1)) < lower + width:
            drop += 1
        return _round_up(lower, 8 * drop).to_bytes(words.nbytes, "big").rstrip(b"\0")


def _round_up(number, bits):
    return -(-number >> bits) << bits


class Reader(_Channel):
    """Decodes a payload; raises DamagedError for one that cannot have been written."""

    def __init__(self, payload):
        self._decoder = _decoder(payload, b"\0")

    def _code(self, runs, symbols):
        try:
            return _decoded(self._decoder, runs)
        except AssertionError:
            raise DamagedError("the file is cut or damaged") from None


class WholeReader(Reader):
    """A Reader that notices bytes appended to its payload: without its last byte the payload would mean the same."""

    def __init__(self, payload):
        super().__init__(payload)
        self._shorter = _decoder(payload[:-1], b"\0") if payload else None

    def _code(self, runs, symbols):
        symbols = super()._code(runs, symbols)
        if self._shorter and not self._agrees(runs, symbols):
            self._shorter = None
        return symbols

    def _agrees(self, runs, symbols):
        try:
            return np.array_equal(_decoded(self._shorter, runs), symbols)
        except AssertionError:
            return False

    def check_end(self):
        """To be called after the last symbol. Raises DamagedError if the payload is longer than a Writer's."""
        if self._shorter:
            raise DamagedError("the file is damaged: bytes were appended to it")


class Cut(Exception):
    """A payload's end was reached: `known` (bool, (n,)) says which of `symbols` (int32, (n,)) are certain."""

    def __init__(self, symbols, known):
        self.symbols, self.known = symbols, known


class CutReader(_Channel):
    """Decodes what is certain of a payload whose end is missing, then raises Cut.

    Whatever came after the cut lies between all zeros and all ones; symbols on which both agree are certain.
    """

    def __init__(self, payload):
        self._low, self._high = _decoder(payload, b"\0"), _decoder(payload, b"\xff")

    def symbols(self, table, rows, symbols):
        order, runs = _runs(table, rows)
        try:
            return _put_back(self._code(runs, None), order)
        except Cut as cut:
            raise Cut(_put_back(cut.symbols, order), _put_back(cut.known, order)) from None

    def _code(self, runs, symbols):
        count = sum(n for _, n in runs)
        found, known = np.zeros(count, dtype=np.int32), 0
        for model, n in runs:
            agreed = self._agreed(model, n)
            found[known : known + len(agreed)] = agreed
            known += len(agreed)
            if len(agreed) < n:
                raise Cut(found, np.arange(count) < known)
        return found

    def _agreed(self, model, count):
        """The first symbols, up to `count`, on which both decoders agree; leaves the decoders behind them."""
        low, high = self._low.clone(), self._high.clone()
        try:
            symbols = low.decode(model, count)
            if (symbols == high.decode(model, count)).all():
                self._low, self._high = low, high
                return symbols
        except AssertionError:
            pass  # a number that no writer leaves: the end has been passed
        if count == 1:
            return np.zeros(0, dtype=np.int32)
        first = self._agreed(model, count // 2)
        if len(first) < count // 2:
            return first
        return np.concatenate([first, self._agreed(model, count - count // 2)])


def _decoded(decoder, runs):
    """int32 symbols of runs of models; AssertionError where no writer leaves such a number."""
    parts = [decoder.decode(model, count) for model, count in runs]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32)


def _decoder(payload, pad):
    """A decoder of `payload` followed by enough bytes `pad`; beyond them it reads zeros."""
    padded = payload + pad * (-len(payload) % 4 + 4 * STATE_WORDS)
    return constriction.stream.queue.RangeDecoder(np.frombuffer(padded, dtype=">u4").astype(np.uint32))
