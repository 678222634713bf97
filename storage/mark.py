"""The mark file: how far one key's promises have come, beside the key and not in the database.

    slot at byte 0      of even sequences: the mark (``consensus.mark``), who it is of, a CRC
    slot at byte 4096   of odd sequences

Theory of operation.  Two slots of a fixed place are written in turn, so a write that power
loss tears leaves the one before it whole; the file never grows, so ``fdatasync`` has nothing
but these bytes to flush.  ``open`` compares with what the database says
(``consensus.mark.compare``) and refuses to go on where either has forgotten.

Owns: the file, its lock, and the words for people.  Refuses: to guess; every doubt is a
``MarkRefused`` that a person settles with ``reset``.
Invariant: ``sequence`` is what survives power loss, never more.  The lock keeps two processes
from signing with one key file.
"""

import contextlib
import fcntl
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from consensus.mark import NOTHING, Mark, Standing, compare
from storage.errors import failure_of
from storage.latch import Latch
from storage.segments import sync_directory

SUFFIX: Final = ".mark"
MAGIC: Final = b"CSM1"
SLOT_BYTES: Final = 4096
_FILE_BYTES: Final = 2 * SLOT_BYTES
_FORM: Final = struct.Struct(">4s32s32sQQQQ32s32s")
_SUM: Final = struct.Struct(">I")


class MarkRefused(Exception):
    """This key must not sign; ``code`` says why and the registry what to do."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def mark_path(key_path: Path) -> Path:
    """Return where the mark of the key file at ``key_path`` is kept."""
    return key_path.with_name(key_path.name + SUFFIX)


class SignMark:
    """An open, locked mark that is level with its database; implements ``Marked``."""

    def __init__(self, fd: int, path: Path, owner: tuple[bytes, bytes], mark: Mark) -> None:
        """``open`` composes it; takes ownership of ``fd``."""
        self._fd = fd
        self._path = path
        self._owner = owner
        self._mark = mark
        self._latch = Latch()

    @classmethod
    def open(cls, path: Path, *, network: bytes, key: bytes, stored: Mark) -> "SignMark":
        """Return the mark of the 32-byte ``key`` in ``network`` over a database at ``stored``.

        Made when there is none and the database never promised anything (``NOTHING``).  Raises
        ``MarkRefused`` (key-in-use, keystore-failure, sign-mark-damaged, sign-mark-foreign,
        sign-mark-missing, sign-mark-behind, sign-state-behind) or ``StorageFailure``.
        A crash in here leaves no file, or one that the next start takes as it is.
        """
        owner = (network, key)
        if not path.exists():
            if stored != NOTHING:
                raise MarkRefused(
                    "sign-mark-missing", f"{path} is gone, the database is at {stored}"
                )
            _put(path, _image(owner, NOTHING), replace=False)
        fd = _locked(path)
        try:
            mark = cls(fd, path, owner, _newest(_read(path, fd), path, owner))
            mark._settle(stored)
        except BaseException:
            os.close(fd)
            raise
        return mark

    def _settle(self, stored: Mark) -> None:
        standing, mark = compare(stored=stored, marked=self._mark), self._mark
        if standing is Standing.ONE_SHORT:
            # The process died between the batch and the mark.  Raised before anything leaves:
            # what the engine says again needs no new record and would take no new mark.
            self.advance(stored)
        elif standing is Standing.DATABASE_BEHIND:
            detail = f"{self._path} is at {mark}, the database only at {stored}"
            raise MarkRefused("sign-state-behind", detail)
        elif standing is Standing.APART:
            detail = f"{self._path} and the database are at {mark} of different histories"
            raise MarkRefused("sign-state-behind", detail)
        elif standing is Standing.MARK_BEHIND:
            detail = f"{self._path} is only at {mark}, the database at {stored}"
            raise MarkRefused("sign-mark-behind", detail)

    @property
    def sequence(self) -> int:
        """The newest sequence that survives power loss."""
        return self._mark.sequence

    def advance(self, mark: Mark) -> None:
        """Return once ``mark``, the next one, survives power loss.

        Call it after the batch that carries the same mark is durable.  Raises
        ``StorageFailure``: stop the node, nothing more is written.  A crash in here leaves this
        mark or the one before.
        """
        assert mark.sequence == self._mark.sequence + 1, "marks are taken one by one"
        self._latch.check()
        try:
            self._write(_slot(self._owner, mark), (mark.sequence & 1) * SLOT_BYTES)
            os.fdatasync(self._fd)
        except OSError as error:
            text = f"cannot write {self._path}: {error.strerror or error}"
            raise self._latch.trip(failure_of(error, text)) from error
        self._mark = mark

    def _write(self, raw: bytes, offset: int) -> None:
        written = os.pwrite(self._fd, raw, offset)
        if written != len(raw):
            raise OSError(f"{written} of {len(raw)} bytes written")

    def close(self) -> None:
        """Let the next process in; calling twice is harmless."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def read(path: Path, *, network: bytes, key: bytes) -> Mark | None:
    """Return the mark at ``path`` without taking it, None when there is none.

    Raises ``MarkRefused`` for one that is damaged or somebody else's.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        return _newest(_read(path, fd), path, (network, key))
    finally:
        os.close(fd)


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Keep every process from signing under the mark at ``path``, if there is one.

    Raises ``MarkRefused`` (key-in-use, keystore-failure).
    """
    fd = _locked(path) if path.exists() else -1
    try:
        yield
    finally:
        if fd >= 0:
            os.close(fd)


def reset(path: Path, *, network: bytes, key: bytes, stored: Mark | None) -> None:
    """Return once the mark says what the database says; ``stored`` None: there is no database.

    This gives up the protection for all that was signed and is not in that database: only a
    person who knows why it is safe may ask for it.  Raises ``MarkRefused`` (key-in-use,
    keystore-failure).  A crash in here leaves the old mark or the new one.
    """
    fd = _locked(path) if path.exists() else -1
    try:
        if stored is not None and stored != NOTHING:
            _put(path, _image((network, key), stored), replace=True)
        elif fd >= 0:
            path.unlink()
            sync_directory(path.parent)
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        if fd >= 0:
            os.close(fd)


# --- bytes --------------------------------------------------------------------------------


def _slot(owner: tuple[bytes, bytes], mark: Mark) -> bytes:
    numbers = (mark.sequence, mark.epoch, mark.round, mark.height)
    packed = _FORM.pack(MAGIC, *owner, *numbers, mark.history, mark.before)
    return packed + _SUM.pack(zlib.crc32(packed))


def _image(owner: tuple[bytes, bytes], mark: Mark) -> bytes:
    """Return a whole file with ``mark`` in its slot and nothing in the other."""
    empty, slot = bytes(SLOT_BYTES), _slot(owner, mark).ljust(SLOT_BYTES, b"\0")
    return empty + slot if mark.sequence & 1 else slot + empty


def _newest(raw: bytes, path: Path, owner: tuple[bytes, bytes]) -> Mark:
    found = []
    for offset in (0, SLOT_BYTES):
        packed = raw[offset : offset + _FORM.size]
        stated = raw[offset + _FORM.size : offset + _FORM.size + _SUM.size]
        if len(packed) < _FORM.size or _SUM.pack(zlib.crc32(packed)) != stated:
            continue  # torn, or never written
        magic, network, key, sequence, epoch, at, height, history, before = _FORM.unpack(packed)
        if magic != MAGIC:
            continue
        if (network, key) != owner:
            raise MarkRefused("sign-mark-foreign", f"{path} is of another key or network")
        found.append(Mark(sequence, epoch, at, height, history, before))
    if len(raw) != _FILE_BYTES or not found:
        raise MarkRefused("sign-mark-damaged", f"{path} holds no whole mark")
    return max(found, key=lambda mark: mark.sequence)


# --- files --------------------------------------------------------------------------------


def _locked(path: Path) -> int:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_ino != path.stat().st_ino:
            raise BlockingIOError("put in place of the one that was opened")
    except BlockingIOError as error:
        os.close(fd)
        raise MarkRefused("key-in-use", f"another process holds {path}") from error
    except OSError as error:
        os.close(fd)
        raise _unreadable(path, error) from error
    return fd


def _read(path: Path, fd: int) -> bytes:
    try:
        return os.pread(fd, _FILE_BYTES + 1, 0)
    except OSError as error:
        raise _unreadable(path, error) from error


def _put(path: Path, image: bytes, *, replace: bool) -> None:
    """Put ``image`` under ``path`` in one step, durable with its name.

    Without ``replace`` a file that another process made meanwhile stays: its lock decides.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    try:
        fd = os.open(temporary, flags, 0o600)
        try:
            os.pwrite(fd, image, 0)
            os.fsync(fd)
        finally:
            os.close(fd)
        if replace:
            temporary.replace(path)
        else:
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(temporary)
            temporary.unlink()
        sync_directory(path.parent)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> MarkRefused:
    return MarkRefused("keystore-failure", f"{path}: {error.strerror or error}")
