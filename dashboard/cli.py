"""The command line, `trackmapper`: everything the pages do, for scripts and tests.

Results go to standard output, messages to standard error. Exit codes: 0 fine; 1 problems found, a launch refused
or a job failed, a platform that does not answer; 2 bad use, including files and settings that cannot be read.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from core.errors import InputError, NoSuchJobError, NotFoundError, SettingsError, TrackmapperError
from core.settings import load_settings

type _Parsers = argparse._SubParsersAction[argparse.ArgumentParser]


def _add(parsers: _Parsers, name: str, run: str, text: str) -> argparse.ArgumentParser:
    parser = parsers.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="answer with JSON on standard output")
    parser.add_argument("--platform", choices=("local", "code_ocean"), help="where assets live (TRACKMAPPER_PLATFORM)")
    parser.add_argument("--library", type=Path, metavar="DIR", help="folder of the local library (TRACKMAPPER_LIBRARY)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the queue (TRACKMAPPER_DATA)")
    return parser


def _state_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state", required=True, metavar="S", help="a state: a file, a link in quotes, or - for standard input"
    )


def _server(parsers: _Parsers, name: str, text: str, port: str, port_help: str) -> None:
    parser = _add(parsers, name, name, text)
    parser.add_argument("--port", type=int, dest=port, help=port_help)
    parser.add_argument(
        "--address",
        default="127.0.0.1",
        metavar="A",
        help="where to listen (127.0.0.1); wider only with a log-in",
    )
    parser.add_argument(
        "--origin", action="append", default=[], metavar="HOST[:PORT]", help="a further name that browsers reach it by"
    )


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(prog="trackmapper", description=__doc__, formatter_class=_Raw)
    parsers = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = _add(parsers, "demo", "demo", "dashboard and worker on the sample mouse; Ctrl-C ends both")
    demo.add_argument("--port", type=int, help="port of the dashboard (the next free one when taken)")
    demo.add_argument("--no-browser", action="store_true", help="print the address, open nothing")
    _server(parsers, "serve", "serve the dashboard on this machine", "port", "port of the dashboard (TRACKMAPPER_PORT)")
    _server(
        parsers,
        "worker",
        "serve the worker that carries jobs to their end",
        "worker_port",
        "port of its page (TRACKMAPPER_WORKER_PORT)",
    )

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
    _mapping(parsers, "check", "find every problem of a mapping")
    _launch_options(_mapping(parsers, "launch", "check a mapping and launch its conversion"))

    jobs = _add(parsers, "jobs", "jobs", "list jobs, newest first")
    jobs.add_argument("--limit", type=int, default=50, help="how many (50)")
    jobs.add_argument("--before", metavar="ID", help="go on after this job (`next` of the last answer)")
    job = _job(parsers, "job", "job", "show a job: what was asked, what was delivered, every event")
    job.add_argument("--report", type=Path, metavar="FILE", help="write its mapping report (HTML) to this new file")
    for name, run, text in (
        ("cancel", "cancel_job", "stop a job"),
        ("retry", "retry_job", "try a failed job again"),
        ("recount", "recount_job", "count the result of an incomplete job again; no new run"),
        ("extend", "extend_job", "give a run more time before it asks"),
        ("attach", "attach_job", "name the run that a job asks for; it is checked to be this job's"),
    ):
        each = _job(parsers, name, run, text)
        each.add_argument("--user", help="who does this (TRACKMAPPER_USER)")
        if name == "extend":
            each.add_argument("--hours", type=_hours, required=True, metavar="N", help="from now on")
        if name == "attach":
            each.add_argument("run_id", metavar="RUN", help="id of the run on the platform")

    for name, text in (
        ("pause", "send nothing that makes anything, for any job, until `resume`"),
        ("resume", "go on after `pause`"),
    ):
        each = _add(parsers, name, name, text)
        each.add_argument("--user", help="who does this (TRACKMAPPER_USER)")

    probe = _add(parsers, "probe", "probe", "look at everything a launch needs; nothing costly happens")
    probe.add_argument("--measure", metavar="CAPSULE", help="measure lags with runs of this tiny capsule; asks first")
    probe.add_argument("--runs", type=int, default=5, metavar="N", help="of a measurement (5)")
    probe.add_argument("--yes", action="store_true", help="measure without asking")
    backup = _add(parsers, "backup", "backup", "write all jobs and drafts into one file, while they are in use")
    backup.add_argument("file", type=Path, metavar="FILE")
    restore = _add(parsers, "restore", "restore", "put a backup in the place of the queue; no worker may run")
    restore.add_argument("file", type=Path, metavar="FILE")
    restore.add_argument("--replace", action="store_true", help="also where there are jobs; they are kept beside it")
    recover = _add(parsers, "recover", "recover", "find launches that the queue does not know on the platform")
    recover.add_argument("--follow", action="store_true", help="follow their runs: no other queue launches there")
    recover.add_argument("--user", help="who does this, and whose the found jobs are (TRACKMAPPER_USER)")
    return parser


def _mapping(parsers: _Parsers, name: str, text: str) -> argparse.ArgumentParser:
    parser = _add(parsers, name, name, text)
    _state_option(parser)
    parser.add_argument("--manifest", required=True, type=Path, metavar="CSV", help="the mapping as a manifest")
    return parser


def _launch_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--wait", action="store_true", help="follow the job to its end; runs a worker when none is alive")
    add("--confirm", action="append", default=[], metavar="RULE", help="confirm a problem, e.g. S1")
    add("--user", help="who launches (TRACKMAPPER_USER)")
    add("--relaunch", action="store_true", help="launch again what has succeeded already")
    add("--converter-version", metavar="V", help="a released version of the converter (the proposed one)")
    add("--parameter", action="append", default=[], metavar="NAME=VALUE", help="an option of the converter")
    add("--route", choices=("direct", "monitor"), help="who keeps the result: our worker, or the pipeline monitor")
    add("--deadline", type=_hours, metavar="HOURS", help="ask after this time (TRACKMAPPER_LONG_RUN_HOURS)")


def _job(parsers: _Parsers, name: str, run: str, text: str) -> argparse.ArgumentParser:
    parser = _add(parsers, name, run, text)
    parser.add_argument("id", metavar="ID")
    return parser


def _hours(text: str) -> float:
    hours = float(text)
    if not 0 < hours <= 10_000:
        raise argparse.ArgumentTypeError("it must be more than 0 hours, and at most 10000")
    return hours


class _Raw(argparse.RawDescriptionHelpFormatter):
    """Keeps the line breaks of the module's text."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = build_parser().parse_args(arguments)
    names = ("platform", "library", "data", "port", "worker_port", "user")
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
