"""A server's download in sight of the user."""

from __future__ import annotations

from roci.cli import output
from roci.cli.fetching import shown_progress
from roci.cli.managed import open_server
from roci.engine.hub.progress import Progress
from roci.types.management import DownloadStatus


def download_to_server(server: str, name: str, quantization: str | None, *, force: bool, as_json: bool) -> None:
    """Have the server download a model, and show how far it is. Raises as `LmStudioServer.download_model`."""
    job_id = ""
    with open_server(server) as managed:
        try:
            with shown_progress() as show:

                def tell(status: DownloadStatus) -> None:
                    nonlocal job_id
                    job_id = status.job_id
                    show(_progress(status))

                done = managed.download_model(name, quantization, force=force, on_progress=tell)
        except KeyboardInterrupt:
            if job_id:
                output.note("\nThe server goes on with it: the same command shows it again.")
            raise
    if as_json:
        output.write_json(done)
    elif done.status == "already_downloaded":
        output.note(output.printable(f"{name} is there already."))
    else:
        output.note(output.printable(f"{done.model} is there: {output.size(done.total_bytes)}."))


def _progress(status: DownloadStatus) -> Progress:
    is_moving = status.status == "downloading"
    return Progress(
        stage="downloading" if is_moving else "done",
        file=status.model,
        done_bytes=status.done_bytes or 0,
        total_bytes=status.total_bytes,
        bytes_per_second=status.bytes_per_second,
        eta_s=status.time_left_s,
        note=status.note,
    )
