"""Payloads that take turns in a file: 16 rounds, in each of them a sixteenth of every payload, in order."""

ROUNDS = 16


def interleave(payloads):
    """The bytes of payloads, parted into rounds."""
    return b"".join(payloads[i][start:end] for i, start, end in _turns([len(p) for p in payloads]))


def separate(data, lengths):
    """What the bytes `data` hold of each payload, of these lengths: all, or less where their end is missing."""
    payloads, at = [bytearray() for _ in lengths], 0
    for i, start, end in _turns(lengths):
        payloads[i] += data[at : at + end - start]
        at += end - start
    return [bytes(payload) for payload in payloads]


def _turns(lengths):
    """The order of parts in a file: (payload, start, end) for payloads of these lengths."""
    return [
        (i, r * length // ROUNDS, (r + 1) * length // ROUNDS) for r in range(ROUNDS) for i, length in enumerate(lengths)
    ]
