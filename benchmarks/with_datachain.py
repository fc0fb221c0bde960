"""DataChain's way to record files: `python with_datachain.py URI` saves a dataset of all files below it.

It takes size, ETag, version and time of each file, and no checksum. Run by the Python of its own environment.
"""

import os
import sys

import datachain

options = {}
if url := os.environ.get("AWS_ENDPOINT_URL"):
    keys = {"aws_key": os.environ["AWS_ACCESS_KEY_ID"], "aws_secret": os.environ["AWS_SECRET_ACCESS_KEY"]}
    options = {"client_config": {"aws_endpoint_url": url, **keys}}
chain = datachain.read_storage(sys.argv[1], update=True, **options).save("data")
print(chain.count())
