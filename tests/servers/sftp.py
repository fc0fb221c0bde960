"""asyncssh: an SFTP server over a folder. Run as a program, it is the server itself."""

from __future__ import annotations

import asyncio
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

from .running import Run

USER, PASSWORD = "me", "hunter2"


@dataclass(frozen=True)
class Sftp:
    """An SFTP server over the folder `root`; `USER` with `PASSWORD` may read and write there, nobody else."""

    port: int
    root: str

    @property
    def address(self) -> str:
        return f"{USER}@127.0.0.1:{self.port}"

    def folder(self) -> Path:
        """A new folder below the root."""
        path = Path(self.root) / f"f-{uuid.uuid4().hex[:12]}"
        path.mkdir()
        return path


def shared(run: Run) -> Sftp:
    return run.shared("sftp", Sftp, lambda: _start(run))


def _start(run: Run) -> Sftp:
    folder, port = run.server_folder("sftp"), run.port()
    root = folder / "data"
    root.mkdir()
    above = str(Path(__file__).parents[2])
    command = [
        sys.executable,
        "-c",
        f"import sys; sys.path.insert(0, {above!r}); import tests.servers.sftp as s; s.main()",
    ]
    run.spawn(folder, [*command, str(port), str(root)], port=port)
    return Sftp(port, str(root))


def main() -> None:
    """Serve until the process is ended. Takes the port and the folder."""
    import asyncssh

    port, root = int(sys.argv[1]), sys.argv[2]

    class Users(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == (USER, PASSWORD)

    def files(channel: asyncssh.SSHServerChannel) -> asyncssh.SFTPServer:
        return asyncssh.SFTPServer(channel, chroot=root.encode())

    async def serve() -> None:
        key = asyncssh.generate_private_key("ssh-ed25519")
        server = await asyncssh.listen(
            "127.0.0.1", port, server_factory=Users, server_host_keys=[key], sftp_factory=files
        )
        await server.wait_closed()

    asyncio.run(serve())
