"""Log one object by its URI alone, and look at what was recorded."""

import os

import refstore as wandb

wandb.init(project="by-uri", mode="offline", tags=["uri"], settings=None)
logged = wandb.run.log_artifact(os.environ["OBJECT_URI"], name="thing", type="file")
wandb.finish()

api = wandb.Api()
found = api.artifact("by-uri/thing:latest")
try:
    api.artifact("by-uri/nothing:latest")
except wandb.errors.CommError:
    print("nothing there")
for entry in found.manifest.entries.values():
    print("entry", entry.path, entry.size)
print("run", api.runs("by-uri")[0].state, found.logged_by().id == wandb.Api().runs("by-uri")[0].id)
print("bytes", len(open(found.file(), "rb").read()))
