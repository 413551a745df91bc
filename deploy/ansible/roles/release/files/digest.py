"""Prints the SHA-256 of a release: of the names, sizes and contents of its files, release.json apart, which has it.

python3 digest.py FOLDER
"""

import hashlib
import sys
from pathlib import Path

folder = Path(sys.argv[1])
total = hashlib.sha256()
for path in sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / "release.json"):
    total.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode() + path.read_bytes())
print(total.hexdigest())
