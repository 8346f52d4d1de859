"""boto3's clients for S3, made to cost little for each request."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore import UNSIGNED
from botocore.config import Config

from core.platforms.code_ocean.s3_reads import QuickReads

CONNECTIONS = 64
"""Requests at the same time, of all threads; each has a connection of the pool."""
CONNECT_S, READ_S = 5.0, 30.0
TRIES = 3


@dataclass(frozen=True, slots=True)
class Clients:
    """boto3's S3 clients, safe in several threads."""

    signed: Any
    """None when boto3 finds no credentials."""
    unsigned: Any
    quick: QuickReads | None = None
    """For reading with less around it."""


def make_clients() -> Clients:
    """boto3's clients as its own variables and files say, made to cost little for each request."""
    if logging.getLogger("botocore").level == logging.NOTSET:
        # At DEBUG it writes the headers of every request, with the session's token.
        logging.getLogger("botocore").setLevel(logging.INFO)
    core = botocore.session.get_session()
    # Nobody reads the times of a listing here, and reading them is a third of its cost.
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=str)
    session = boto3.session.Session(botocore_session=core)
    config = Config(
        connect_timeout=CONNECT_S,
        read_timeout=READ_S,
        retries={"mode": "standard", "total_max_attempts": TRIES},
        max_pool_connections=CONNECTIONS,
        tcp_keepalive=True,
        parameter_validation=False,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    unsigned = config.merge(Config(signature_version=UNSIGNED))
    client = session.client("s3", config=unsigned)
    if not (urlsplit(client.meta.endpoint_url).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn")):
        # Another server than Amazon's has no name for each bucket.
        path_style = Config(s3={"addressing_style": "path"})
        config, unsigned = config.merge(path_style), unsigned.merge(path_style)
        client = session.client("s3", config=unsigned)
    signed = None if session.get_credentials() is None else session.client("s3", config=config)
    return Clients(signed, client, QuickReads(session, config, client))
