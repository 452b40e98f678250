"""What a failing bench leaves: inputs, bytes of the link, options, firmware; and its replay."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from max78k.errors import InputError
from max78k.files import atomic_write
from max78k.host.bench_rows import Row, read_csv, write_csv

SCHEMA = "max78k-bench-bundle"
VERSION = 1
_MOST_BYTES = 1 << 30  # of one member, unpacked
_ABOUT, _INPUTS, _ROWS, _LINK, _FIRMWARE = (
    "bundle.json", "inputs.npz", "bench.csv", "link.txt", "firmware.elf"
)  # fmt: skip

Int8Array = npt.NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Bundle:
    """A failure.

    Attributes:
        about: port, versions, error, options, device: plain data.
        inputs: int8, as they were sent; packets [n, values] where the board makes the inputs.
        labels: of each input, or None.
        rows: what was measured before.
        link: the bytes, see :meth:`max78k.host.port_log.PortLog.lines`.
        firmware: the ELF, where it is known.
    """

    about: dict[str, Any]
    inputs: Sequence[Int8Array]
    labels: Sequence[int] | None
    rows: tuple[Row, ...]
    link: tuple[str, ...]
    firmware: bytes | None

    @property
    def firmware_sha256(self) -> str | None:
        """Of the ELF."""
        return None if self.firmware is None else hashlib.sha256(self.firmware).hexdigest()


def write_bundle(path: Path, bundle: Bundle) -> None:
    """Write one zip file."""
    about = {
        "schema": SCHEMA, "version": VERSION, **bundle.about,
        "firmware_sha256": bundle.firmware_sha256,
    }  # fmt: skip
    with (
        atomic_write(path) as stream,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        archive.writestr(_ABOUT, json.dumps(about, indent=2) + "\n")
        archive.writestr(_INPUTS, _packed(bundle))
        archive.writestr(_ROWS, _csv(bundle.rows))
        archive.writestr(_LINK, "".join(f"{line}\n" for line in bundle.link))
        if bundle.firmware is not None:
            archive.writestr(_FIRMWARE, bundle.firmware)


def read_bundle(path: Path) -> Bundle:
    """Read what :func:`write_bundle` wrote; raises InputError ``E-BENCH-BUNDLE``."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            about = json.loads(_member(archive, _ABOUT))
            if not isinstance(about, dict) or (about.get("schema"), about.get("version")) != (
                SCHEMA, VERSION,
            ):  # fmt: skip
                raise ValueError(f"it is no {SCHEMA} of version {VERSION}")
            inputs, labels = _unpacked(_member(archive, _INPUTS))
            rows = _rows(_member(archive, _ROWS))
            link = _member(archive, _LINK).decode("ascii").splitlines()
            firmware = _member(archive, _FIRMWARE) if _FIRMWARE in names else None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile,
            NotImplementedError, RuntimeError) as error:  # fmt: skip
        raise InputError(
            "E-BENCH-BUNDLE", f"{path} is no bundle of a failed bench: {error}.",
            "name the failure.zip that `max78k bench` left",
        ) from None  # fmt: skip
    bundle = Bundle(about, inputs, labels, tuple(rows), tuple(link), firmware)
    if bundle.firmware_sha256 != about.get("firmware_sha256"):
        raise InputError("E-BENCH-BUNDLE", f"{path}: its firmware is not the one it was made with.")
    return bundle


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > _MOST_BYTES:
        raise ValueError(f"{name} is larger than {_MOST_BYTES:,} bytes")
    return archive.read(name)


def _packed(bundle: Bundle) -> bytes:
    """Inputs of equal shape one after another; packets too, with their numbers."""
    parts = [np.atleast_2d(one) if _packets(bundle) else one[None] for one in bundle.inputs]
    arrays: dict[str, Any] = {
        "inputs": np.concatenate(parts) if parts else np.zeros((0, 0), np.int8),
        "lengths": np.array([len(part) for part in parts], np.int64),
    }
    if bundle.labels is not None:
        arrays["labels"] = np.array(bundle.labels, np.int64)
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def _packets(bundle: Bundle) -> bool:
    return bool(bundle.about["options"]["source"]["raw"])


def _unpacked(data: bytes) -> tuple[list[Int8Array], list[int] | None]:
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        inputs, lengths = archive["inputs"], archive["lengths"]
        labels = archive["labels"].tolist() if "labels" in archive.files else None
    if inputs.dtype != np.int8 or int(lengths.sum()) != len(inputs) or (lengths < 1).any():
        raise ValueError("its inputs contradict themselves")
    parts = np.split(inputs, np.cumsum(lengths)[:-1]) if len(lengths) else []
    single = bool((lengths == 1).all())
    return [part[0] if single else part for part in parts], labels


def _csv(rows: Sequence[Row]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / _ROWS
        write_csv(path, rows)
        return path.read_bytes()


def _rows(data: bytes) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / _ROWS
        path.write_bytes(data)
        return read_csv(path)
