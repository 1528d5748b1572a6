"""Run the command as `python -m tracker_service.cli`."""

from tracker_service.cli import main

main(prog_name="tracker")
