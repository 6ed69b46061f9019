"""Independent oracle for test/doubles/hub.ts: Hugging Face's Python client downloads from the double (see hub.test.ts).

  hub.py URL REPO COMMIT FOLDER   prints the commit that main stands for, and SHA-256 of every file by path
"""

import hashlib
import json
import sys
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download

url, repo, commit, folder = sys.argv[1:]
snapshot_download(repo, revision=commit, endpoint=url, cache_dir=folder + "/cache", local_dir=folder + "/files", token=False)
files = Path(folder, "files")
digests = {
    str(path.relative_to(files)): hashlib.sha256(path.read_bytes()).hexdigest()
    for path in sorted(files.rglob("*"))
    if path.is_file() and ".cache" not in path.relative_to(files).parts
}
print(json.dumps({"main": HfApi(endpoint=url, token=False).model_info(repo, revision="main").sha, "digests": digests}))
