"""Whether a file lies on a file system on which SQLite is safe."""

from __future__ import annotations

from pathlib import Path

from tuneful.errors import StoreError

# SQLite's write-ahead log needs shared memory and honest locks: all processes on one host (sqlite.org/wal.html).
_NETWORK = frozenset(
    [
        "nfs",
        "nfs4",
        "cifs",
        "smb",
        "smb2",
        "smb3",
        "smbfs",
        "ncpfs",
        "afs",
        "9p",
        "lustre",
        "gpfs",
        "ceph",
        "glusterfs",
        "beegfs",
        "pvfs2",
        "orangefs",
        "ocfs2",
        "gfs2",
        "fuse.sshfs",
        "fuse.s3fs",
        "fuse.gcsfuse",
        "fuse.glusterfs",
        "fuse.ceph",
        "fuse.rclone",
        "fuse.goofys",
        "fuse.mount-s3",
    ]
)
_MOUNTS = Path("/proc/self/mountinfo")


def refuse_network(path: Path, mounts: str | None = None) -> None:
    """Raise if `path` lies on a network file system.

    Args:
        path: The file.
        mounts: The text of Linux's mountinfo; read from the system by default. Where there is none (macOS), nothing
            is checked.

    Raises:
        StoreError: it does; with what to do instead.
    """
    if mounts is None:
        if not _MOUNTS.exists():
            return
        mounts = _MOUNTS.read_text(errors="replace")
    kind = kind_of(path, mounts)
    if kind in _NETWORK:
        raise StoreError(
            f"{path} lies on a network file system ({kind}), where SQLite cannot keep several processes apart and "
            "may damage the file. Put the study on a local disk, and copy it when it is done."
        )


def kind_of(path: Path, mounts: str) -> str:
    """The kind of file system at `path`, by the longest mount point above it."""
    best, kind = -1, ""
    for line in mounts.splitlines():
        fields, _, rest = line.partition(" - ")
        if len(fields.split()) < 5 or not rest:
            continue
        point = Path(fields.split()[4].replace("\\040", " "))
        depth = len(point.parts)
        if (point == path or point in path.parents) and depth >= best:
            best, kind = depth, rest.split()[0]
    return kind
