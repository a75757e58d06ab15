"""Job files: YAML, JSON or a dict, whose keys are the field names of muster.v1.JobSpec, read by way of its descriptor.

The rules and messages are those of the command line (client/job_file.h): enumerations in lower case without prefix or as
protobuf's JSON spells them, sizes such as 4GiB for 64-bit numbers, unknown keys refused with the nearest name. The
coordinator checks rules between fields at submission.
"""
from __future__ import annotations

import math
import os
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional, Union

import yaml
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from . import _names
from .errors import InvalidArgumentError
from .v1 import job_pb2

JobSource = Union[Mapping[str, Any], str, "os.PathLike[str]", "job_pb2.JobSpec"]

_UNITS = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_FLOAT_MAX = 3.4028234663852886e38
# As common/spec/foreign_keys.cc has them.
_ACCUMULATION = ("There is no gradient accumulation: its parts would not see each other's passages as negatives. Set batch.queries to the "
                 "queries of a whole update. Memory does not grow with it: batch.micro_batch_tokens bounds what is encoded at once, and "
                 "batch.keep_activations the graphs that are kept.")
_ACCUMULATION_KEYS = frozenset((
    "accumulate", "accumulategradbatches", "accumulategradients", "accumulatesteps", "accumulation", "accumulationsteps", "accumsteps",
    "gradaccum", "gradaccumsteps", "gradaccumulation", "gradaccumulationsteps", "gradientaccumulation", "gradientaccumulationsteps"))
_NULLS = ("", "~", "null", "Null", "NULL")


def word_of(value: Any) -> str:
    """JOB_PHASE_QUEUED → queued; …_UNSPECIFIED → default."""
    prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", value.type.name).upper() + "_"
    if value.name == prefix + "UNSPECIFIED":
        return "default"
    return str(value.name[len(prefix):] if value.name.startswith(prefix) else value.name).lower()


def _is_repeated(field: Any) -> bool:
    repeated = getattr(field, "is_repeated", None)  # protobuf before 6.30 has only `label`
    return bool(getattr(field, "label") == FieldDescriptor.LABEL_REPEATED if repeated is None else repeated)


class _YamlValue:
    """A node of a YAML text: its scalars are text, as in the command line, so 2e-5 is a number and `no` a name."""

    def __init__(self, node: Any) -> None:
        self._node = node
        self.line: Optional[int] = node.start_mark.line + 1

    @property
    def is_null(self) -> bool:
        return isinstance(self._node, yaml.ScalarNode) and self._node.style is None and self._node.value in _NULLS

    @property
    def text(self) -> Optional[str]:
        return str(self._node.value) if isinstance(self._node, yaml.ScalarNode) else None

    def items(self) -> Optional[list[_YamlValue]]:
        return [_YamlValue(item) for item in self._node.value] if isinstance(self._node, yaml.SequenceNode) else None

    def entries(self) -> Optional[list[tuple[_YamlValue, _YamlValue]]]:
        if not isinstance(self._node, yaml.MappingNode):
            return None
        return [(_YamlValue(key), _YamlValue(value)) for key, value in self._node.value]


class _PlainValue:
    """A value of Python: dicts, lists, numbers, truth values, texts and None."""
    line: Optional[int] = None

    def __init__(self, value: Any) -> None:
        self._value = value.item() if hasattr(value, "item") and not isinstance(value, (str, Mapping)) else value  # numpy's

    @property
    def is_null(self) -> bool:
        return self._value is None

    @property
    def text(self) -> Optional[str]:
        if isinstance(self._value, bool):
            return "true" if self._value else "false"
        return str(self._value) if isinstance(self._value, (str, int, float)) else None

    def items(self) -> Optional[list[_PlainValue]]:
        return [_PlainValue(item) for item in self._value] if isinstance(self._value, (list, tuple)) else None

    def entries(self) -> Optional[list[tuple[_PlainValue, _PlainValue]]]:
        if not isinstance(self._value, Mapping):
            return None
        return [(_PlainValue(key), _PlainValue(value)) for key, value in self._value.items()]


_Value = Union[_YamlValue, _PlainValue]


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _field_names(type_: Any) -> list[str]:
    return [field.name for field in type_.fields]


def _unknown_key(key: str, type_: Any) -> str:
    if key.lower().replace("_", "").replace("-", "") in _ACCUMULATION_KEYS:
        return f"unknown key. {_ACCUMULATION}"
    return f"unknown key. {_names.allowed(key, _field_names(type_))}"


def parse_size(text: str) -> Optional[int]:
    """Digits, or digits and a unit: 4GiB. None if the text is neither, or does not fit 64 bits."""
    match = re.fullmatch(r"([0-9]+) *([A-Za-z]*)", text, re.ASCII)
    if not match or match[2] not in _UNITS:
        return None
    size = int(match[1]) * _UNITS[match[2]]
    return size if size < 2**64 else None


def _whole(text: str, low: int, high: int) -> Optional[int]:
    number = int(text) if re.fullmatch(r"\s*[+-]?[0-9]+\s*", text, re.ASCII) else None
    return number if number is not None and low <= number <= high else None


def _number(text: str) -> Optional[float]:
    if not re.fullmatch(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*", text, re.ASCII):
        return None
    number = float(text)
    return number if math.isfinite(number) else None


def _enum_number(type_: Any, text: str) -> Optional[int]:
    for value in type_.values:
        # POOLING_UNSPECIFIED was POOLING_DEFAULT: files that an older version printed have it.
        former = value.name[:-len("UNSPECIFIED")] + "DEFAULT" if value.name.endswith("_UNSPECIFIED") else ""
        if text in (word_of(value), value.name, former):
            return int(value.number)
    return None


class Reader:
    """Reads values into a message. `places`: field → where it was given, for errors that come later."""

    def __init__(self, name: str, places: Optional[dict[str, str]] = None) -> None:
        self._name = name
        self.places: dict[str, str] = {} if places is None else places

    def _place(self, value: _Value) -> str:
        return f"{self._name}:{value.line}" if value.line else self._name

    def _wrong(self, value: _Value, path: str, what: str) -> InvalidArgumentError:
        return InvalidArgumentError(f"{self._place(value)}: {path + ': ' if path else ''}{what}")

    def read_message(self, value: _Value, path: str, message: Message) -> None:
        type_ = message.DESCRIPTOR
        entries = value.entries()
        if entries is None:
            raise self._wrong(value, path, f"must have keys. {_names.allowed('', _field_names(type_))}")
        seen: set[str] = set()
        alternatives: dict[str, str] = {}  # a oneof → the key that set it
        for key_value, item in entries:
            key = key_value.text
            if key is None:
                raise self._wrong(key_value, path, "a key must be a word.")
            field = type_.fields_by_name.get(key)
            if field is None:
                raise self._wrong(key_value, _join(path, key), _unknown_key(key, type_))
            if key in seen:
                raise self._wrong(key_value, _join(path, key), "is given twice. Remove one.")
            seen.add(key)
            oneof = field.containing_oneof
            if oneof is not None and oneof.name != "_" + key:  # not the one that protobuf makes for `optional`
                other = alternatives.setdefault(oneof.name, key)
                if other != key:
                    raise self._wrong(key_value, _join(path, key), f"excludes {_join(path, other)}. Remove one of them.")
            self.places[_join(path, key)] = self._place(key_value)
            self.read_field(item, _join(path, key), field, message)

    def read_field(self, value: _Value, path: str, field: Any, message: Message) -> None:
        message.ClearField(field.name)
        if value.is_null:
            return
        if _is_repeated(field):
            items: Optional[Sequence[_Value]] = value.items()
            if items is None:
                raise self._wrong(value, path, "must be a list, such as [a, b].")
            for index, item in enumerate(items):
                if field.message_type is None:
                    self._add_item(item, path, field, message)
                    continue
                item_path = f"{path}[{index}]"
                self.places[item_path] = self._place(item)
                self.read_message(item, item_path, getattr(message, field.name).add())
        elif field.message_type is not None:
            inner = getattr(message, field.name)
            inner.SetInParent()
            self.read_message(value, path, inner)
        else:
            text = value.text
            if text is None:
                raise self._wrong(value, path, "must be a single value.")
            setattr(message, field.name, self._scalar(value, text, path, field))

    def _add_item(self, item: _Value, path: str, field: Any, message: Message) -> None:
        text = item.text
        is_text = field.cpp_type == FieldDescriptor.CPPTYPE_STRING
        if text is None:
            raise self._wrong(item, path, f"must be a list of {'words' if is_text else 'numbers'}.")
        read: Any = text
        if field.cpp_type == FieldDescriptor.CPPTYPE_UINT32:
            read = _whole(text, 0, 2**32 - 1)
        elif not is_text:
            read = _number(text)
        if read is None:
            raise self._wrong(item, path, f'"{text}" is not a number that this list can hold.')
        getattr(message, field.name).append(read)

    def _scalar(self, value: _Value, text: str, path: str, field: Any) -> Any:
        kind = field.cpp_type
        read: Any = None
        if kind == FieldDescriptor.CPPTYPE_STRING:
            return text
        if kind == FieldDescriptor.CPPTYPE_ENUM:
            read = _enum_number(field.enum_type, text)
            if read is None:
                words = [word_of(one) for one in field.enum_type.values]
                raise self._wrong(value, path, f'unknown value "{text}". {_names.allowed(text, words)}')
            return read
        if kind == FieldDescriptor.CPPTYPE_BOOL:
            expected, read = "truth value: true or false", {"true": True, "false": False}.get(text)
        elif kind == FieldDescriptor.CPPTYPE_UINT32:
            expected, read = "whole number from 0 to 4294967295", _whole(text, 0, 2**32 - 1)
        elif kind == FieldDescriptor.CPPTYPE_INT32:
            expected, read = "whole number from -2147483648 to 2147483647", _whole(text, -2**31, 2**31 - 1)
        elif kind == FieldDescriptor.CPPTYPE_UINT64:
            expected, read = "whole number or size, such as 4096 or 4GiB", parse_size(text)
        elif kind in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
            expected, read = "number", _number(text)
            if kind == FieldDescriptor.CPPTYPE_FLOAT and read is not None and abs(read) > _FLOAT_MAX:
                expected, read = "number of single precision", None
        else:
            expected = "value that this version knows how to read"
        if read is None:
            raise self._wrong(value, path, f'"{text}" is not a {expected}.')
        return read


class ParsedJob:
    """A specification, and where each of its fields was given."""

    def __init__(self, spec: job_pb2.JobSpec, name: str, places: dict[str, str]) -> None:
        self.spec, self._name, self._places = spec, name, places

    def with_place(self, message: str) -> str:
        """The message of a broken rule begins with a field. Puts the place where that field, or the innermost given field
        around it, was set in front."""
        path = message.split(":", 1)[0]
        while path and path not in self._places:
            path = path.rpartition(".")[0]
        return f"{self._places[path]}: {message}" if path else message


def _documents(name: str, text: str) -> Iterator[Any]:
    try:
        yield from yaml.compose_all(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or str(error)
        raise InvalidArgumentError(f"{name}:{mark.line + 1 if mark else 1}: is not valid YAML: {what}.") from None


def is_text(job: str) -> bool:
    """Whether a string is a job file's text, and not the path of one."""
    return not os.path.isfile(job) and ("\n" in job or ": " in job or job.lstrip().startswith("{"))


def read_text(name: str, text: str, places: Optional[dict[str, str]] = None) -> job_pb2.JobSpec:
    roots = list(_documents(name, text))
    if len(roots) != 1:
        raise InvalidArgumentError(f"{name}: must hold one job, found {'several' if roots else 'none'}.")
    spec = job_pb2.JobSpec()
    Reader(name, places).read_message(_YamlValue(roots[0]), "", spec)
    return spec


def _apply(key: str, value: Any, spec: job_pb2.JobSpec, places: dict[str, str]) -> None:
    name = f"overrides {key}"
    message: Any = spec
    path = ""
    names = key.split(".")
    for index, part in enumerate(names):
        path = _join(path, part)
        field = message.DESCRIPTOR.fields_by_name.get(part)
        if field is None:
            raise InvalidArgumentError(f"{name}: {path}: {_unknown_key(part, message.DESCRIPTOR)}")
        if index + 1 == len(names):
            places[path] = name
            Reader(name, places).read_field(_PlainValue(value), path, field, message)
        elif field.message_type is None or _is_repeated(field):
            raise InvalidArgumentError(f"{name}: {path} has no fields.")
        else:
            message = getattr(message, part)
            message.SetInParent()


def parse(job: JobSource, overrides: Optional[Mapping[str, Any]] = None) -> ParsedJob:
    """Reads a dict, a path, a YAML or JSON text, or a copy of a JobSpec. Each override is a path of keys with dots and a
    value; None means as if the field were left out. Raises InvalidArgumentError, with place and field."""
    places: dict[str, str] = {}
    name, spec = "job", job_pb2.JobSpec()
    if isinstance(job, job_pb2.JobSpec):
        spec.CopyFrom(job)
    elif isinstance(job, Mapping):
        Reader(name, places).read_message(_PlainValue(job), "", spec)
    elif isinstance(job, str) and is_text(job):
        spec = read_text(name, job, places)
    elif isinstance(job, (str, os.PathLike)):
        name = os.fspath(job)
        try:
            text = pathlib.Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidArgumentError(f"{name}: {getattr(error, 'strerror', None) or 'is not text in UTF-8'}") from None
        spec = read_text(name, text, places)
    else:
        raise InvalidArgumentError(f"job: must be a dict, a path, a text in YAML or a JobSpec, not {type(job).__name__}.")
    for key, value in (overrides or {}).items():
        _apply(key, value, spec, places)
    return ParsedJob(spec, name, places)


def valid_name(text: str) -> str:
    """The text, reduced to the characters and length that a job's name may have."""
    return re.sub(r"[^a-z0-9._-]", "-", text.lower()[:63])
