"""Fingerprints of records: whether rows are equal in the compared fields, told by 128 bits and not by every field.

Pure, over whole columns, the same on both sides of a comparison. The row hash stands for equality and for nothing else:
it is no security boundary and nobody may choose the rows to make two of them meet. Two different rows have the same
128 bits with odds of 1 to 3·10^38; as a row is compared with its one counterpart only, five million records a night
meet that once in about 10^29 years. The key hash has 64 bits and orders a snapshot; among five million keys two share
it with odds of 1 to 10^6, so records are paired by key and never by its hash alone.

Polars hashes each column with a keyed hash over its own bytes and then mixes the columns in their order, so that
("ab", "c") differs from ("a", "bc"), null from the empty text, and true from "true". The two halves have keys of their
own. What lost: `struct(...).hash` (eight times slower), text joined with separators and xxh3 (copies every byte).
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from shared.contract.model import EntityContract

KEY_HASH = "key hash"
"""Column: 64 bits of the key; null where the key is."""
ROW_HASHES = ("row hash a", "row hash b")
"""Columns: the two halves of the fingerprint over the compared fields."""
HASH_COLUMNS = (KEY_HASH, *ROW_HASHES)
# Four numbers each, for the keyed hash; arbitrary and never to change without the name of the algorithm.
_KEY_SEEDS = (0x61657468, 0x65722D6B, 0x65792D31, 1)
_ROW_SEEDS = ((0x61657468, 0x65722D72, 0x6F772D61, 2), (0x0D15EA5E, 0x5EED5EED, 0x6F772D62, 3))


def with_hashes(frame: pl.DataFrame, compared: Sequence[str]) -> pl.DataFrame:
    """The frame with `HASH_COLUMNS` behind its other columns; present ones are made anew.

    `compared` names the columns of the fingerprint; both sides must name the same in the same order, and hold them in
    the same types.
    """
    bare = frame.drop(HASH_COLUMNS, strict=False)
    seeds = zip(ROW_HASHES, _ROW_SEEDS, strict=True)
    return bare.with_columns(
        key_hashes(bare.get_column("key")), *(_hashed(bare, compared, seed).alias(name) for name, seed in seeds)
    )


def key_hashes(keys: pl.Series) -> pl.Series:
    """The key hash of each key."""
    frame = keys.to_frame("key")
    hashed = _hashed(frame, ["key"], _KEY_SEEDS)
    return frame.select(pl.when(pl.col("key").is_not_null()).then(hashed).alias(KEY_HASH)).get_column(KEY_HASH)


def compared_fields(contract: EntityContract) -> tuple[str, ...]:
    """The fields that the fingerprint covers, in contract order: those that are managed and not protected."""
    return tuple(name for name, field in contract.fields.items() if field.managed and not field.protected)


def _hashed(frame: pl.DataFrame, columns: Sequence[str], seeds: tuple[int, int, int, int]) -> pl.Series:
    if not columns or frame.is_empty():
        return pl.repeat(0, frame.height, dtype=pl.UInt64, eager=True)
    return frame.select(columns).hash_rows(*seeds)


def _version() -> str:
    """The algorithm, and what it makes of a few known rows on this machine with this library.

    The library promises its hash for one version only and chooses its instructions by processor; two programs whose
    probes agree make the same hashes, and others must not compare them.
    """
    probe = pl.DataFrame(
        {"key": ["", "E1", None, "É🙂" * 40], "text": [None, "ab", "a", "x" * 300], "flag": [True, False, None, True]}
    )
    hashed = with_hashes(probe, ("text", "flag")).select(HASH_COLUMNS)
    mixed = 0
    for value in (value for row in hashed.iter_rows() for value in row):
        mixed = (mixed * 1_000_003 + (value or 0)) % 2**64
    return f"hash_rows-1 polars-{pl.__version__} {mixed:016x}"


HASH_VERSION = _version()
"""Names the algorithm, the library's version and its behaviour here: hashes of different versions are not compared."""
