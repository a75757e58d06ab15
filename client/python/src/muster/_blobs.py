"""Files and folders by digest, to and from the data server: resumable, and verified (common/rpc/blobs.h)."""
from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any, Callable, Optional

from . import _rpc
from .errors import MusterError, RefusedError, error_of
from .v1 import blob_pb2

CHUNK_BYTES = 1 << 20  # the largest chunk that the servers accept in a message
PATIENCE_SECONDS = 120.0
_MEMORY_BYTES = 64 << 20
Progress = Callable[[int, int], None]  # (bytes done, bytes in total)


def _digest_of(path: pathlib.Path) -> str:
    sha = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            sha.update(chunk)
    return sha.hexdigest()


def is_safe(path: str) -> bool:
    """A relative path that stays below its folder, as the name of a file."""
    parts = path.split("/")
    return bool(path) and "\0" not in path and "\\" not in path and not any(part in ("", ".", "..") for part in parts)


class Blobs:
    """Not thread-safe."""

    def __init__(self, servers: _rpc.Servers, patience: float = PATIENCE_SECONDS) -> None:
        self._stub = servers.blobs()
        self._patience = patience

    def _receive(self, digest: str, take: Callable[[bytes, int], None]) -> None:
        """Gives the blob's bytes to `take(chunk, size of the blob or 0)`, in order. A stream that breaks continues where it
        stopped. Raises DATA_LOSS if they do not have the digest."""
        sha, done = hashlib.sha256(), 0

        def attempt() -> None:
            nonlocal done
            for part in self._stub.GetBlob(blob_pb2.GetBlobRequest(digest=digest, offset=done)):
                take(part.chunk, part.size)
                sha.update(part.chunk)
                done += len(part.chunk)
        try:
            _rpc.persist(attempt, self._stub.channel, self._patience, lambda: done)
        except MusterError as error:
            raise error.with_context(f"get blob {digest[:12]}") from None
        if sha.hexdigest() != digest:
            raise error_of("DATA_LOSS", f"blob {digest[:12]}: what arrived has digest {sha.hexdigest()[:12]}. Try again.")

    def get_bytes(self, digest: str) -> bytes:
        """At most 64 MiB."""
        content = bytearray()

        def take(chunk: bytes, size: int) -> None:
            if size > _MEMORY_BYTES or len(content) + len(chunk) > _MEMORY_BYTES:
                raise error_of("RESOURCE_EXHAUSTED", f"blob {digest[:12]} is larger than 64 MiB")
            content.extend(chunk)
        self._receive(digest, take)
        return bytes(content)

    def get_manifest(self, digest: str) -> blob_pb2.FileManifest:
        manifest = blob_pb2.FileManifest.FromString(self.get_bytes(digest))
        paths = [file.path for file in manifest.files]
        for path in paths:
            if not is_safe(path) or paths.count(path) > 1:
                raise error_of("DATA_LOSS", f'manifest: unsafe or repeated path "{path}"')
        return manifest

    def get_file(self, digest: str, target: pathlib.Path, progress: Callable[[int], None] = lambda done: None) -> None:
        """Writes the file when it is complete and its digest is right."""
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{target.name}.part-{os.getpid()}")
        done = 0
        try:
            with open(part, "wb") as file:
                def take(chunk: bytes, size: int) -> None:
                    nonlocal done
                    file.write(chunk)
                    done += len(chunk)
                    progress(done)
                self._receive(digest, take)
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def get_folder(self, manifest: blob_pb2.FileManifest, folder: pathlib.Path, progress: Optional[Progress] = None) -> None:
        total, before = sum(file.size for file in manifest.files), 0
        for file in manifest.files:
            def report(done: int, before: int = before) -> None:
                if progress:
                    progress(before + done, total)
            self.get_file(file.digest, folder / file.path, report)
            before += file.size

    def put_file(self, path: pathlib.Path, name: str, progress: Callable[[int], None] = lambda done: None) -> blob_pb2.FileEntry:
        """Sends the bytes that the server does not have."""
        entry = blob_pb2.FileEntry(path=name, digest=_digest_of(path), size=path.stat().st_size)
        stored = 0  # how many bytes of a broken upload the server kept

        def requests(offset: int) -> Iterator[blob_pb2.PutBlobRequest]:
            yield blob_pb2.PutBlobRequest(header=blob_pb2.PutBlobHeader(digest=entry.digest, size=entry.size, offset=offset))
            with open(path, "rb") as file:
                file.seek(offset)
                while chunk := file.read(CHUNK_BYTES):
                    yield blob_pb2.PutBlobRequest(chunk=chunk)
                    offset += len(chunk)
                    progress(offset)

        def attempt() -> None:
            nonlocal stored
            stat = self._stub.StatBlobs(blob_pb2.StatBlobsRequest(digests=[entry.digest]), timeout=30).blobs[0]
            if not stat.present:
                stored = min(stat.partial_size, entry.size)
                self._stub.PutBlob(requests(stored))
            progress(entry.size)
        try:
            _rpc.persist(attempt, self._stub.channel, self._patience, lambda: stored)
        except MusterError as error:
            raise error.with_context(f"{path}: put blob {entry.digest[:12]}") from None
        return entry


@contextlib.contextmanager
def new_folder(target: pathlib.Path) -> Iterator[pathlib.Path]:
    """A temporary folder next to `target` that becomes `target` when the block ends without an error, and is removed otherwise.
    `target` must be new or empty."""
    target = pathlib.Path(os.path.abspath(target.expanduser()))
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise RefusedError(f"{target} exists and is not empty. Choose another folder.", "FAILED_PRECONDITION")
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = pathlib.Path(tempfile.mkdtemp(prefix=f"{target.name}.new-", dir=target.parent))
    try:
        yield aside
        aside.chmod(0o755)
        if target.exists():
            target.rmdir()  # os.rename replaces an empty folder only on POSIX
        aside.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
