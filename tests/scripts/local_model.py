"""Refer to one model file by file://, and to a folder that is mounted."""

import os

import refstore as wandb

wandb.login()
run = wandb.init(project="mounted")

model = wandb.Artifact("model", type="model")
model.add_reference("file://" + os.environ["MODEL_FILE"])
wandb.log_artifact(model, aliases=["production"])

mount = wandb.Artifact("mount", type="dataset")
mount.add_reference("file://" + os.environ["MOUNT"], max_objects=1000)
wandb.run.log_artifact(mount)
wandb.finish()

run = wandb.init(project="mounted")
used = wandb.use_artifact("model:production", type="model")
print("model", used.file())
entry = run.use_artifact("mount:latest").get_entry("deep/x.txt")
print("entry", entry.ref_target(), open(entry.download()).read())
