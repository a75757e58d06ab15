"""Reads TensorBoard's event files by the formats' definitions. Shares no code with the writer."""
import struct

from google.protobuf import descriptor_pb2, descriptor_pool

from muster import _rpc


def _event_class():
    """The fields of tensorflow/core/util/event.proto and summary.proto that are used."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="muster_testing/event.proto", package="muster_testing", syntax="proto3")

    def message(name, *fields):
        made = file.message_type.add(name=name)
        for number, field, kind, repeated, of in fields:
            made.field.add(number=number, name=field, type=kind, label=3 if repeated else 1, type_name=of)
    message("Value", (1, "tag", kinds.TYPE_STRING, False, None), (2, "simple_value", kinds.TYPE_FLOAT, False, None))
    message("Summary", (1, "value", kinds.TYPE_MESSAGE, True, ".muster_testing.Value"))
    message("Event", (1, "wall_time", kinds.TYPE_DOUBLE, False, None), (2, "step", kinds.TYPE_INT64, False, None),
            (3, "file_version", kinds.TYPE_STRING, False, None), (5, "summary", kinds.TYPE_MESSAGE, False, ".muster_testing.Summary"))
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return _rpc._class_of(pool.FindMessageTypeByName("muster_testing.Event"))


def crc32c(data):
    """Bit by bit, by the definition (RFC 3720, B.4)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x82F63B78 * (crc & 1)
    return crc ^ 0xFFFFFFFF


def unmasked(crc):
    rotated = (crc - 0xA282EAD8) & 0xFFFFFFFF
    return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF


def events(path):
    event, data, at = _event_class(), path.read_bytes(), 0
    while at < len(data):
        header = data[at:at + 8]
        length = struct.unpack("<Q", header)[0]
        content = data[at + 12:at + 12 + length]
        for check, checked in ((data[at + 8:at + 12], header), (data[at + 12 + length:at + 16 + length], content)):
            assert unmasked(struct.unpack("<I", check)[0]) == crc32c(checked), f"wrong checksum at {at}"
        yield event.FromString(content)
        at += 16 + length


def scalars(folder):
    """tag → [(step, value)], over all files of the folder."""
    found = {}
    for path in sorted(folder.glob("*tfevents*")):
        for event in events(path):
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found
