"""rclone, told of a server by options alone."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks import environments


def words(env: Mapping[str, str]) -> list[object]:
    """The start of a command, for the S3 server that the `AWS_*` variables name."""
    options = ["--config", "/dev/null", "--s3-provider", "Other", "--s3-env-auth", "--s3-no-check-bucket"]
    return [environments.program("rclone"), *options, "--s3-endpoint", env["AWS_ENDPOINT_URL"]]


def path(uri: str) -> str:
    """What rclone calls a URI of S3."""
    return uri.replace("s3://", ":s3:")
