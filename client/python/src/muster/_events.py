"""TensorBoard's event files: records of TensorFlow's TFRecord format, each a tensorflow.Event.

Formats: https://www.tensorflow.org/tutorials/load_data/tfrecord (length, masked CRC-32C of it, bytes, masked CRC-32C of
them), and tensorflow/core/util/event.proto: wall_time = 1, step = 2, file_version = 3, summary = 5, whose values (1) have
tag = 1 and simple_value = 2.
"""
from __future__ import annotations

import os
import pathlib
import socket
import struct
import time
from collections.abc import Mapping


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)  # Castagnoli's polynomial, reversed
        table.append(byte)
    return table


_TABLE = _crc_table()


def masked_crc(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _text(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _event(seconds: float, step: int, rest: bytes) -> bytes:
    return b"\x09" + struct.pack("<d", seconds) + (b"\x10" + _varint(step) if step else b"") + rest


class EventFile:
    """Writes a new file in the folder, which is created if absent. Each record is flushed, so that TensorBoard shows a running
    job."""

    def __init__(self, folder: pathlib.Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        now = time.time()
        self.path = folder / f"events.out.tfevents.{int(now)}.{socket.gethostname()}.{os.getpid()}.{time.monotonic_ns()}.muster"
        self._file = open(self.path, "xb", buffering=0)
        self._write(_event(now, 0, _text(3, b"brain.Event:2")))

    def add(self, step: int, metrics: Mapping[str, float], seconds: float) -> None:
        values = b"".join(_text(1, _text(1, name.encode("utf-8")) + b"\x15" + struct.pack("<f", value)) for name, value in metrics.items())
        self._write(_event(seconds, step, _text(5, values)))

    def _write(self, event: bytes) -> None:
        length = struct.pack("<Q", len(event))
        self._file.write(length + struct.pack("<I", masked_crc(length)) + event + struct.pack("<I", masked_crc(event)))

    def close(self) -> None:
        self._file.close()
