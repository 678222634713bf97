"""A node's four secret keys and the encrypted file that holds them.

    identity    Ed25519   signs transactions and the members' handshake
    consensus   Ed25519   signs votes
    cosigner    Ed25519   cosigns checkpoints
    encryption  X25519    opens boxes that are sealed to this institution

File: one JSON object, mode 0600.  A 32-byte key is derived from the passphrase by Argon2id (RFC
9106; limits and salt stand in the file) and encrypts the four seeds (canonical MessagePack
array) as an XSalsa20-Poly1305 secret box, nonce first.  Public keys stand beside in clear, for
people and for ``key show``; on opening they must equal those of the seeds.

Owns: making, writing (atomic, durable, never over another file unless told), opening.
Refuses: files that others may read, and passphrases as arguments or variables (both are seen by
other processes): only files and prompts.
Invariant: no seed and no passphrase appears in a representation, an error or a log.
"""

import contextlib
import json
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import nacl.exceptions
import nacl.pwhash.argon2id as argon2id
import nacl.utils
from nacl.public import PrivateKey, SealedBox
from nacl.secret import SecretBox

from consensus import codec
from node.errors import ChartsealError
from node.ledger.crypto import Signer

FORMAT: Final = "chartseal-keys"
VERSION: Final = 1
FILE_BYTES_MAX: Final = 16 << 10
PASSPHRASE_BYTES_MAX: Final = 4096
ENVIRONMENT_VARIABLE: Final = "CHARTSEAL_PASSPHRASE_FILE"
SEED_BYTES: Final = 32
_CIPHER: Final = "xsalsa20-poly1305"
# A forged file must not make us hash for an hour or take all memory.
_OPERATIONS_MAX: Final = 16
_MEMORY_BYTES_MAX: Final = 1 << 30


class KeystoreError(ChartsealError):
    """A key file or passphrase that cannot be used; the daemon ends with exit code 79."""


@dataclass(frozen=True, slots=True)
class Kdf:
    """Argon2id limits: passes over memory, and memory in bytes."""

    operations: int
    memory_bytes: int


# 64 MiB, about half a second: a passphrase that a person thought up.
INTERACTIVE: Final = Kdf(argon2id.OPSLIMIT_INTERACTIVE, argon2id.MEMLIMIT_INTERACTIVE)
# Only for passphrases of `random_passphrase`: 256 random bits need no stretching.
FOR_RANDOM_PASSPHRASE: Final = Kdf(argon2id.OPSLIMIT_MIN, argon2id.MEMLIMIT_MIN)


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """The four public keys, 32 bytes each."""

    identity: bytes
    consensus: bytes
    cosigner: bytes
    encryption: bytes

    def plain(self) -> dict[str, str]:
        """Return them for JSON, lower-case hexadecimal."""
        return {name: key.hex() for name, key in asdict(self).items()}


class NodeKeys:
    """The opened keys of the institution ``node``."""

    __slots__ = ("_seeds", "consensus", "cosigner", "encryption", "identity", "node", "public")

    def __init__(self, node: str, seeds: tuple[bytes, bytes, bytes, bytes]) -> None:
        """Take four 32-byte seeds in the order identity, consensus, cosigner, encryption.

        Raises ``ValueError`` unless they are four and differ.
        """
        if len(set(seeds)) != 4 or any(len(seed) != SEED_BYTES for seed in seeds):
            raise ValueError("four different seeds of 32 bytes")
        self._seeds = seeds
        self.node: Final = node
        self.identity: Final = Signer(seeds[0])
        self.consensus: Final = Signer(seeds[1])
        self.cosigner: Final = Signer(seeds[2])
        self.encryption: Final = PrivateKey(seeds[3])
        self.public: Final = PublicKeys(
            identity=self.identity.public_key,
            consensus=self.consensus.public_key,
            cosigner=self.cosigner.public_key,
            encryption=bytes(self.encryption.public_key),
        )

    @classmethod
    def generate(cls, node: str) -> "NodeKeys":
        """Return new keys from the system's entropy."""
        one, two, three, four = (nacl.utils.random(SEED_BYTES) for _ in range(4))
        return cls(node, (one, two, three, four))

    def renewed(self) -> "NodeKeys":
        """Return keys with a new consensus and cosigner key; the other two stay."""
        two, three = (nacl.utils.random(SEED_BYTES) for _ in range(2))
        return NodeKeys(self.node, (self._seeds[0], two, three, self._seeds[3]))

    def unseal(self, sealed: bytes) -> bytes | None:
        """Return the content of a box sealed to ``public.encryption``; None if it is not."""
        try:
            return bytes(SealedBox(self.encryption).decrypt(sealed))
        except (nacl.exceptions.CryptoError, ValueError):
            return None

    def save(
        self, path: Path, passphrase: bytes, *, kdf: Kdf = INTERACTIVE, replace: bool = False
    ) -> None:
        """Return once the encrypted file is durable under ``path`` with mode 0600.

        Raises ``KeystoreError`` (keystore-exists unless ``replace``, keystore-failure).
        A crash leaves the old file or the new one, never a part of one.
        """
        if not passphrase:
            raise KeystoreError("keystore-passphrase-missing", "the passphrase is empty")
        salt = nacl.utils.random(argon2id.SALTBYTES)
        key = _derive(passphrase, salt, kdf)
        plaintext = codec.encode([VERSION, self.node, *self._seeds])
        envelope = {
            "format": FORMAT,
            "version": VERSION,
            "node": self.node,
            "kdf": {"name": "argon2id", **asdict(kdf), "salt": salt.hex()},
            "cipher": _CIPHER,
            "box": bytes(SecretBox(key).encrypt(plaintext)).hex(),
            "public": self.public.plain(),
        }
        text = json.dumps(envelope, indent=2) + "\n"
        write_secret(path, text.encode(), replace=replace)

    def __repr__(self) -> str:
        return f"NodeKeys(node={self.node!r}, identity={self.public.identity.hex()})"

    def __reduce__(self) -> Any:
        raise TypeError("secret keys are not pickled")


def load(path: Path, passphrase: bytes) -> NodeKeys:
    """Return the keys in the file at ``path``.

    Raises ``KeystoreError``: keystore-missing, keystore-permissions, keystore-malformed,
    keystore-version, keystore-passphrase-wrong, keystore-failure.
    """
    envelope = _read_envelope(path)
    try:
        kdf = Kdf(envelope["kdf"]["operations"], envelope["kdf"]["memory_bytes"])
        salt = bytes.fromhex(envelope["kdf"]["salt"])
        box = bytes.fromhex(envelope["box"])
        stated = (envelope["node"], envelope["public"])
        named = (envelope["kdf"]["name"], envelope["cipher"])
    except (KeyError, TypeError, ValueError) as error:
        raise KeystoreError("keystore-malformed", f"{path}: a field is missing") from error
    if named != ("argon2id", _CIPHER) or len(salt) != argon2id.SALTBYTES or not _bounded(kdf):
        raise KeystoreError("keystore-malformed", f"{path}: unknown cipher or limits")
    try:
        plaintext = SecretBox(_derive(passphrase, salt, kdf)).decrypt(box)
    except (nacl.exceptions.CryptoError, ValueError) as error:
        raise KeystoreError("keystore-passphrase-wrong", str(path)) from error
    try:
        version, node, *seeds = codec.decode(plaintext, size_max=FILE_BYTES_MAX)
        one, two, three, four = seeds
        keys = NodeKeys(node, (one, two, three, four))
    except (codec.Malformed, ValueError, TypeError) as error:
        raise KeystoreError("keystore-malformed", f"{path}: sealed content") from error
    if version != VERSION or stated != (node, keys.public.plain()):
        raise KeystoreError("keystore-malformed", f"{path}: public keys are of other seeds")
    return keys


def kdf_of(path: Path) -> Kdf:
    """Return the limits with which the file at ``path`` is encrypted; see ``load``."""
    try:
        found = _read_envelope(path)["kdf"]
        kdf = Kdf(found["operations"], found["memory_bytes"])
    except (KeyError, TypeError) as error:
        raise KeystoreError("keystore-malformed", f"{path}: a field is missing") from error
    if not _bounded(kdf):
        raise KeystoreError("keystore-malformed", f"{path}: unknown limits")
    return kdf


def load_public(path: Path) -> tuple[str, PublicKeys]:
    """Return node id and public keys as the file states them, without opening it."""
    envelope = _read_envelope(path)
    try:
        public = {name: bytes.fromhex(text) for name, text in envelope["public"].items()}
        keys, node = PublicKeys(**public), envelope["node"]
        if not isinstance(node, str) or any(len(key) != 32 for key in public.values()):
            raise ValueError("public keys have 32 bytes")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise KeystoreError("keystore-malformed", f"{path}: public keys") from error
    return node, keys


def read_passphrase(
    passphrase_file: Path | None,
    *,
    environment: Mapping[str, str] | None = None,
    prompt: Callable[[], str] | None = None,
) -> bytes:
    """Return the passphrase from the file, else the file CHARTSEAL_PASSPHRASE_FILE names, else
    ``prompt``.  One line end at the end of a file is not part of it.

    Raises ``KeystoreError`` (keystore-passphrase-missing, keystore-permissions).
    """
    variables = os.environ if environment is None else environment
    named = variables.get(ENVIRONMENT_VARIABLE)
    if passphrase_file is None and named:
        passphrase_file = Path(named)
    if passphrase_file is not None:
        raw = read_secret(
            passphrase_file,
            bytes_max=PASSPHRASE_BYTES_MAX,
            missing="keystore-passphrase-missing",
        )
        passphrase = raw.removesuffix(b"\n").removesuffix(b"\r")
    elif prompt is not None:
        passphrase = prompt().encode("utf-8", "surrogateescape")
    else:
        raise KeystoreError("keystore-passphrase-missing", "no file is set and nobody to ask")
    if not passphrase:
        raise KeystoreError("keystore-passphrase-missing", "the passphrase is empty")
    return passphrase


def random_passphrase() -> bytes:
    """Return 256 random bits as hexadecimal text."""
    return nacl.utils.random(32).hex().encode()


# --- secret files -------------------------------------------------------------------------


def read_seed(path: Path) -> bytes:
    """Return the 32 bytes of a single signing key: hexadecimal, in a file of mode 0600."""
    try:
        seed = bytes.fromhex(read_secret(path, bytes_max=256).decode("ascii").strip())
    except ValueError:
        raise KeystoreError("keystore-malformed", f"{path} is not hexadecimal") from None
    if len(seed) != SEED_BYTES:
        raise KeystoreError("keystore-malformed", f"{path} has not {SEED_BYTES} bytes")
    return seed


def read_secret(path: Path, *, bytes_max: int, missing: str = "keystore-missing") -> bytes:
    """Return the bytes of a file that only its owner may read.

    Raises ``KeystoreError``; the mode is that of the opened file, so nobody can swap the file
    between the check and the reading.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            raw = file.read(bytes_max + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise KeystoreError(missing, f"{path} does not exist") from error
    except OSError as error:
        raise KeystoreError("keystore-failure", f"{path}: {error.strerror}") from error
    if stat.S_IMODE(mode) & 0o077:
        loose = f"{path} has mode {stat.S_IMODE(mode):04o}: chmod 600 {path}"
        raise KeystoreError("keystore-permissions", loose)
    if len(raw) > bytes_max:
        raise KeystoreError("keystore-malformed", f"{path} has more than {bytes_max} bytes")
    return raw


def write_secret(path: Path, raw: bytes, *, replace: bool = False) -> None:
    """Return once ``raw`` is durable under ``path`` with mode 0600, whatever the umask.

    Raises ``KeystoreError`` (keystore-exists unless ``replace``, keystore-failure).
    """
    temporary = path.with_name(f".{path.name}.{nacl.utils.random(8).hex()}")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                temporary.replace(path)
            else:
                # A link fails when the name is taken: two writers cannot both win.
                path.hardlink_to(temporary)
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
        _sync_directory(path.parent)
    except FileExistsError as error:
        raise KeystoreError("keystore-exists", str(path)) from error
    except OSError as error:
        raise KeystoreError("keystore-failure", f"{path}: {error.strerror}") from error


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _read_envelope(path: Path) -> dict[str, Any]:
    raw = read_secret(path, bytes_max=FILE_BYTES_MAX)
    try:
        envelope = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise KeystoreError("keystore-malformed", f"{path}: not JSON") from error
    if not isinstance(envelope, dict) or envelope.get("format") != FORMAT:
        raise KeystoreError("keystore-malformed", f"{path}: not a {FORMAT} file")
    if envelope.get("version") != VERSION:
        raise KeystoreError("keystore-version", f"{path}: expected version {VERSION}")
    return envelope


def _bounded(kdf: Kdf) -> bool:
    if type(kdf.operations) is not int or type(kdf.memory_bytes) is not int:
        return False
    return (
        argon2id.OPSLIMIT_MIN <= kdf.operations <= _OPERATIONS_MAX
        and argon2id.MEMLIMIT_MIN <= kdf.memory_bytes <= _MEMORY_BYTES_MAX
    )


def _derive(passphrase: bytes, salt: bytes, kdf: Kdf) -> bytes:
    try:
        return bytes(
            argon2id.kdf(
                SecretBox.KEY_SIZE,
                passphrase,
                salt,
                opslimit=kdf.operations,
                memlimit=kdf.memory_bytes,
            )
        )
    except (nacl.exceptions.CryptoError, MemoryError) as error:
        raise KeystoreError("keystore-failure", "not enough memory for Argon2id") from error
