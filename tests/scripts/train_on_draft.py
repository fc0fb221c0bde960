"""Use a draft as the input at once, train, upload the model with boto3, and log it by reference."""

import os

import boto3
import refstore as wandb

BUCKET = os.environ["BUCKET"]

run = wandb.init(project="mnist-example", job_type="train", config={"lr": 0.1})

dataset = wandb.Artifact("mnist", type="dataset")
dataset.add_reference(f"s3://{BUCKET}/datasets/mnist")
dataset = run.use_artifact(dataset)
folder = dataset.download()

weights = b"".join(open(os.path.join(folder, name), "rb").read() for name in sorted(os.listdir(folder)))
with open("cnn.pt", "wb") as file:
    file.write(weights)

s3 = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
s3.upload_file("cnn.pt", BUCKET, "models/cnn.pt")

model = wandb.Artifact("cnn", type="model", metadata=dict(run.config))
model.add_reference(f"s3://{BUCKET}/models/cnn.pt")
run.log_artifact(model, aliases=["best"])
print("model", model.wait().name, model.get_entry("cnn.pt").extra["versionID"])
