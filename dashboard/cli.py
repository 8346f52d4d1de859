"""The command line, `trackmapper`: everything the pages do, for scripts and tests.

Results go to standard output, messages to standard error. Exit codes: 0 fine; 1 problems found, a launch refused
or a job failed; 2 bad use, including files and settings that cannot be read.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from core.errors import InputError, NoSuchJobError, NotFoundError, SettingsError, TrackmapperError
from core.settings import load_settings


def _add(
    parsers: argparse._SubParsersAction[argparse.ArgumentParser], name: str, run: str, text: str
) -> argparse.ArgumentParser:
    parser = parsers.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="answer with JSON on standard output")
    parser.add_argument("--library", type=Path, metavar="DIR", help="folder of the local library (TRACKMAPPER_LIBRARY)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the queue (TRACKMAPPER_DATA)")
    return parser


def _state_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state", required=True, metavar="S", help="a state: a file, a link in quotes, or - for standard input"
    )


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(prog="trackmapper", description=__doc__, formatter_class=_Raw)
    parsers = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = _add(parsers, "demo", "demo", "dashboard and worker on the sample mouse; Ctrl-C ends both")
    demo.add_argument("--port", type=int, help="port of the dashboard (the next free one when taken)")
    demo.add_argument("--no-browser", action="store_true", help="print the address, open nothing")
    serve = _add(parsers, "serve", "serve", "serve the dashboard on this machine")
    serve.add_argument("--port", type=int, help="port of the dashboard (TRACKMAPPER_PORT)")
    worker = _add(parsers, "worker", "worker", "serve the worker that carries jobs to their end")
    worker.add_argument("--port", type=int, dest="worker_port", help="port of its page (TRACKMAPPER_WORKER_PORT)")

    sample = _add(parsers, "sample", "sample", "write the sample mouse into a folder")
    sample.add_argument("folder", type=Path, metavar="DIR")
    sample.add_argument("--seed", type=int, default=1, help="another seed, another mouse")

    state = _add(parsers, "state", "state", "read a Neuroglancer state")
    state.add_argument("state", metavar="SOURCE", help="a file, a link in quotes, or - for standard input")
    subject = _add(parsers, "subject", "subject", "gather everything a mouse has")
    subject.add_argument("subject", metavar="ID")
    suggest = _add(parsers, "suggest", "suggest_rows", "suggest a mapping, with reasons")
    _state_option(suggest)
    suggest.add_argument("--subject", metavar="ID", help="the mouse, when the state does not name it")

    for name, run, text in (
        ("check", "check", "find every problem of a mapping"),
        ("launch", "launch", "check a mapping and launch its conversion"),
    ):
        each = _add(parsers, name, run, text)
        _state_option(each)
        each.add_argument("--manifest", required=True, type=Path, metavar="CSV", help="the mapping as a manifest")
    each.add_argument("--wait", action="store_true", help="follow the job to its end; runs a worker when none is alive")
    each.add_argument("--confirm", action="append", default=[], metavar="RULE", help="confirm a problem, e.g. S1")
    each.add_argument("--user", help="who launches (TRACKMAPPER_USER)")
    each.add_argument("--relaunch", action="store_true", help="launch again what has succeeded already")

    jobs = _add(parsers, "jobs", "jobs", "list jobs, newest first")
    jobs.add_argument("--limit", type=int, default=50, help="how many (50)")
    jobs.add_argument("--before", metavar="ID", help="go on after this job (`next` of the last answer)")
    for name, run, text in (
        ("job", "job", "show a job: what was asked, what was delivered, every event"),
        ("cancel", "cancel_job", "stop a job"),
        ("retry", "retry_job", "try a failed job again"),
    ):
        each = _add(parsers, name, run, text)
        each.add_argument("id", metavar="ID")
        if name != "job":
            each.add_argument("--user", help="who does this (TRACKMAPPER_USER)")
    return parser


class _Raw(argparse.RawDescriptionHelpFormatter):
    """Keeps the line breaks of the module's text."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = build_parser().parse_args(arguments)
    names = ("library", "data", "port", "worker_port", "user")
    try:
        from dashboard import commands  # here, so that help and bad use answer at once and Ctrl-C is heard meanwhile

        if getattr(options, "user", None) == "":
            raise SettingsError("the name is blank", where="--user", cure="Say who you are, or leave --user out.")
        settings = load_settings(**{name: getattr(options, name, None) for name in names})
        code, answer, text = getattr(commands, options.run)(options, settings)
    except TrackmapperError as error:
        if options.json:
            sys.stdout.write(json.dumps({"schema": 1, "error": _error(error)}) + "\n")
        sys.stderr.write(f"trackmapper: {error}\n")
        return 2 if isinstance(error, InputError | NoSuchJobError | NotFoundError) else 1
    except KeyboardInterrupt:
        return 130
    out = json.dumps(answer, indent=2, ensure_ascii=False) if options.json else text
    if out:
        sys.stdout.write(out.encode("utf-8", "replace").decode() + "\n")
    return int(code)


def _error(error: TrackmapperError) -> dict[str, str]:
    return {"kind": type(error).__name__, "message": error.message, "where": error.where, "cure": error.cure}


if __name__ == "__main__":
    sys.exit(main())
