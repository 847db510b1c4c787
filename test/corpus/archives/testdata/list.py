# Copyright The Windlass Authors.
# SPDX-License-Identifier: Apache-2.0
"""Lists the files of the archives that are named on standard input."""
import hashlib
import sys
import tarfile
import zipfile

sys.stdout.reconfigure(encoding="utf-8")


def show(path, name, content):
    print("python", path, name, len(content), hashlib.sha256(content).hexdigest(), sep="\t")


for path in sys.stdin.read().splitlines():
    try:
        if path.endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                for info in archive.infolist():
                    if not info.is_dir():
                        show(path, info.filename, archive.read(info))
        else:
            with tarfile.open(path) as archive:
                for info in archive:
                    if not info.isdir():
                        show(path, info.name, archive.extractfile(info).read())
    except Exception as e:  # whatever it is, it is told
        print("python", path, f"ERROR {e!r}", 0, "-", sep="\t")
