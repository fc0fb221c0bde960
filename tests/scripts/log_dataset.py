"""Log a reference to a prefix, use it by name, and read it."""

import os

import refstore as wandb

URI = os.environ["DATASET_URI"]

with wandb.init(project="mnist-example", entity="vision", job_type="log-dataset") as run:
    artifact = wandb.Artifact(name="mnist", type="dataset", metadata={"split": "train"})
    artifact.add_reference(URI)
    run.log_artifact(artifact)
    artifact.wait()
    print("logged", artifact.name, artifact.file_count)

with wandb.init(project="mnist-example", entity="vision", job_type="train", config={"epochs": 2}) as run:
    artifact = run.use_artifact("mnist:latest", type="dataset")
    artifact_dir = artifact.download()
    same = run.use_artifact("vision/mnist-example/mnist:latest")
    assert same.id == artifact.id
    total = 0
    for folder, _, names in os.walk(artifact_dir):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                total += len(file.read())
    for epoch in range(wandb.config.epochs):
        wandb.log({"loss": 1.0 / (epoch + 1)})
    wandb.summary["bytes"] = total
    print("read", artifact_dir, total)
