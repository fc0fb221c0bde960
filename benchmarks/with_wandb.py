"""What W&B's package does by itself, without its server; run by the Python of its own environment.

`python with_wandb.py record URI MANIFEST` makes an artifact of references and writes its manifest, which is what W&B
keeps of each version. `fetch MANIFEST FOLDER` downloads all of them as `Artifact.download` does, and `diff` compares
two. What only the server does, the upload of the manifest and its commit, is not in it.
"""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

THREADS = 32
"""As many as the package downloads with (`_FILE_EXECUTOR_WORKERS` in its artifact.py)."""


def record(uri: str, file: str) -> None:
    import wandb

    artifact = wandb.Artifact("data", type="dataset")
    artifact.add_reference(uri, max_objects=10_000_000)
    assert artifact.digest
    Path(file).write_text(json.dumps(artifact.manifest.to_manifest_json()))


def load(file: str):
    from wandb.sdk.artifacts.artifact_manifests.artifact_manifest_v1 import ArtifactManifestV1

    return ArtifactManifestV1.from_manifest_json(json.loads(Path(file).read_text()))


def fetch(file: str, folder: str) -> None:
    import wandb

    artifact = wandb.Artifact("data", type="dataset")
    artifact._manifest = load(file)

    def one(entry) -> None:
        entry._parent_artifact = artifact
        entry.download(folder)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, artifact.manifest.entries.values()))


def diff(old: str, new: str) -> None:
    one, other = load(old).entries, load(new).entries
    changed = [path for path in one.keys() | other.keys() if one.get(path) != other.get(path)]
    print(len(changed))


if __name__ == "__main__":
    os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    name, *words = sys.argv[1:]
    {"record": record, "fetch": fetch, "diff": diff}[name](*words)
