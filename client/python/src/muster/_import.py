"""The data that an import sends: rows as JSON Lines, and files by the rules of the command line (client/import_files.h)."""
from __future__ import annotations

import datetime
import glob
import json
import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Optional, Union

from ._blobs import CHUNK_BYTES
from .errors import InvalidArgumentError
from .v1 import data_pb2

Rows = Iterable[Mapping[str, Any]]

_DATA = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".qrels")
_DESCRIPTIONS = ("dataset_infos.json", "dataset_info.json", "dataset_dict.json", "state.json")
_SPLIT_WORDS = ("train", "training", "test", "testing", "dev", "devel", "development", "val", "valid", "validation", "eval",
                "evaluation", "heldout", "holdout")
_QRELS, _QRELS_BESIDE = 2, 3


@dataclass
class Part:
    """A file of the import: `file` of this machine, or `rows` that become JSON Lines. `name` and `split` as the server sees them."""
    name: str
    split: str = ""
    file: Optional[pathlib.Path] = None
    rows: Optional[Rows] = None

    def size(self) -> int:
        return self.file.stat().st_size if self.file is not None and self.file.is_file() else 0


def _plain(name: str) -> str:
    for ending in (".gz", ".zst"):
        name = name[:-len(ending)] if name.endswith(ending) else name
    return name


def _beir_order(name: str) -> int:
    """The position of a file in the order of a BEIR folder; -1: not one of its files."""
    plain = _plain(name)
    if plain in ("corpus.jsonl", "queries.jsonl"):
        return 0 if plain == "corpus.jsonl" else 1
    path = pathlib.PurePosixPath(plain)
    if path.suffix not in (".tsv", ".txt", ".qrels"):
        return -1
    if path.parent == pathlib.PurePosixPath("qrels"):
        return _QRELS
    return _QRELS_BESIDE if len(path.parts) == 1 and plain.startswith("qrels") else -1


def _is_data(name: str) -> bool:
    plain = _plain(name)
    return plain.endswith(_DATA) and plain.rpartition("/")[2] not in _DESCRIPTIONS


def _of_folder(folder: pathlib.Path, schema: str, split: str) -> list[Part]:
    names = []
    for where, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        names += [pathlib.Path(where, name).relative_to(folder).as_posix() for name in files if not name.startswith(".")]
    names.sort()
    orders = {_beir_order(name) for name in names}
    beir = schema in ("", "beir") and 0 in orders and (1 in orders or _QRELS in orders)
    if beir:
        skipped = _QRELS_BESIDE if _QRELS in orders else None
        chosen = sorted((name for name in names if _beir_order(name) not in (-1, skipped)), key=_beir_order)
    else:
        several = [str(pathlib.PurePosixPath(name).parent) for name in names
                   if _plain(name).endswith("/corpus.jsonl") and 0 not in orders]
        if several:
            raise InvalidArgumentError(f"{folder}: holds {len(several)} BEIR dataset{'s' if len(several) > 1 else ''}: "
                                       f"{', '.join(several)}. Import one of them: {folder / several[0]}.")
        chosen = [name for name in names if _is_data(name)]
    if not chosen:
        saved = any(name.endswith(".arrow") for name in names)
        remedy = ("Its *.arrow files are of datasets.save_to_disk: give datasets.load_from_disk(FOLDER) itself."
                  if saved else "Name the folder or file with the data.")
        raise InvalidArgumentError(f"{folder}: has no *.jsonl, *.json, *.csv, *.tsv or *.parquet. {remedy}")
    return [Part(name, split, folder / name) for name in chosen]


def _of_path(given: Union[str, os.PathLike[str]], schema: str, split: str) -> list[Part]:
    text = os.fspath(given)
    path = pathlib.Path(text).expanduser()
    if re.search(r"[*?[]", text) and not path.exists():
        found = sorted(glob.glob(str(path)))
        if not found:
            raise InvalidArgumentError(f"{text}: matches no file. Correct the pattern.")
        return [part for one in found for part in _of_path(one, schema, split)]
    if path.is_dir():
        return _of_folder(path, schema, split)
    if not path.exists():
        raise InvalidArgumentError(f"{text}: does not exist. Name a file, a folder, or a pattern.")
    name = path.name
    if path.suffix == ".tsv" and path.absolute().parent.name == "qrels":  # of BEIR, without its folder
        name = f"qrels/{name}"
    folder = path.absolute().parent.name.lower()
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", path.name)]
    if not split and folder in _SPLIT_WORDS and not any(word in _SPLIT_WORDS for word in words):
        # The server does not see the folder: test/part-0.jsonl would arrive as part-0.jsonl, and be trained on.
        raise InvalidArgumentError(f'{text}: its folder is named {folder}, and its name names no split. Say which split it is: '
                                   f'{{"{folder}": "{text}"}}.')
    return [Part(name, split, path)]


def _is_path(source: Any) -> bool:
    return isinstance(source, (str, os.PathLike))


def _of_source(source: Any, schema: str, split: str) -> list[Part]:
    if _is_path(source):
        return _of_path(source, schema, split)
    if isinstance(source, (list, tuple)) and source and all(map(_is_path, source)):
        return [part for one in source for part in _of_path(one, schema, split)]
    if hasattr(source, "to_dict") and hasattr(source, "iloc"):  # pandas.DataFrame
        return [Part(f"{split or 'rows'}.jsonl", split, rows=source.to_dict("records"))]
    if isinstance(source, Iterable) and not isinstance(source, (bytes, Mapping)):
        return [Part(f"{split or 'rows'}.jsonl", split, rows=source)]
    raise InvalidArgumentError(f"import: {type(source).__name__} is not a path, a list of paths, or rows of dicts.")


def plan(source: Any, schema: str = "", split: str = "") -> list[Part]:
    """The files of an import, in order. A mapping (a dict, datasets.DatasetDict) has a source per split."""
    if isinstance(source, Mapping):
        parts = [part for name, one in source.items() for part in _of_source(one, schema, str(name))]
    else:
        parts = _of_source(source, schema, split)
    if not parts:
        raise InvalidArgumentError("import: name the files: a path, rows, or a dict of them by split.")
    return _named_apart(parts)


def _named_apart(parts: list[Part]) -> list[Part]:
    """Files with the same name in different folders (train/data.jsonl, test/data.jsonl) are named with their folders if each
    has its own split."""
    names = [part.name for part in parts]
    seen: dict[str, Part] = {}
    for part in parts:
        if names.count(part.name) > 1 and part.split and part.file is not None:
            part.name = f"{part.file.absolute().parent.name}/{part.name}"
        other = seen.setdefault(part.name, part)
        if other is not part:
            raise InvalidArgumentError(f"{other.file or 'rows'} and {part.file or 'rows'}: two files named {part.name}. Name the folder "
                                       "above them, or name the split of each with a dict.")
    return parts


def _json_value(value: Any) -> Any:
    """Converts values that JSON does not have: numpy's, and dates."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")


def lines_of(rows: Rows) -> Iterator[bytes]:
    """Rows as JSON Lines, in chunks that a message can hold. A row may be longer than a chunk."""
    waiting = bytearray()
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            raise InvalidArgumentError(f"row {number}: must be a dict, not {type(row).__name__}.")
        try:
            line = json.dumps(dict(row), ensure_ascii=False, allow_nan=False, default=_json_value)
        except (TypeError, ValueError) as error:
            raise InvalidArgumentError(f"row {number}: {error}.") from None
        try:
            waiting += line.encode("utf-8") + b"\n"
        except UnicodeEncodeError:  # half of a surrogate pair, which the server reads as U+FFFD
            waiting += line.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode("utf-8") + b"\n"
        while len(waiting) >= CHUNK_BYTES:
            yield bytes(waiting[:CHUNK_BYTES])
            del waiting[:CHUNK_BYTES]
    if waiting:
        yield bytes(waiting)


def _chunks(part: Part) -> Iterator[bytes]:
    if part.rows is not None:
        yield from lines_of(part.rows)
        return
    assert part.file is not None
    try:
        with open(part.file, "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise InvalidArgumentError(f"{part.file}: {error.strerror}") from None


def requests(header: data_pb2.ImportHeader, parts: list[Part]) -> Iterator[data_pb2.ImportDatasetRequest]:
    yield data_pb2.ImportDatasetRequest(header=header)
    for part in parts:
        yield data_pb2.ImportDatasetRequest(file=data_pb2.ImportFile(path=part.name, split=part.split))
        for chunk in _chunks(part):
            yield data_pb2.ImportDatasetRequest(chunk=chunk)
